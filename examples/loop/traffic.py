"""Clients of a served model: they ask for answers, and tell the outcomes a moment later."""

import json
import queue
import threading
import time
from datetime import datetime, timezone

import requests

"""Seconds from an answer to its outcome."""
OUTCOME_AFTER = 1.0


class Traffic:
    """Clients: ask for answers, and tell the outcomes a moment later."""

    def __init__(self, url, model, rows, outcomes):
        self.url, self.model, self.rows, self.outcomes = url, model, rows, outcomes
        self.work, self.answered = queue.Queue(maxsize=32), queue.Queue()
        self.stopped, self.failed, self.sent = threading.Event(), 0, 0
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(8)]
        self.threads.append(threading.Thread(target=self.tell, daemon=True))
        for thread in self.threads:
            thread.start()

    def send(self, rows, rate, per_request, lap):
        """Sends these rows at `rate` per second."""
        began = time.monotonic()
        for first in range(0, len(rows), per_request):
            due = began + first / rate
            while time.monotonic() < due and not self.stopped.is_set():
                time.sleep(min(0.01, max(0.0, due - time.monotonic())))
            if self.stopped.is_set():
                return
            self.work.put((rows[first : first + per_request], lap))

    def forever(self, rows, rate, per_request):
        def run():
            lap = 1
            while not self.stopped.is_set():
                self.send(rows, rate, per_request, lap)
                lap += 1

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def ask(self):
        session = requests.Session()
        while not self.stopped.is_set():
            try:
                rows, lap = self.work.get(timeout=0.2)
            except queue.Empty:
                continue
            asked = [{"id": f"loan-{row}-{lap}", "features": self.rows[row]} for row in rows]
            try:
                answer = session.post(f"{self.url}/v2/models/{self.model}/infer", json={"rows": asked}, timeout=30)
                answers = answer.json() if answer.status_code == 200 else []
            except requests.RequestException:
                answers = []
            good = {told["id"] for told in answers if "prediction" in told}
            self.sent, self.failed = self.sent + len(good), self.failed + len(rows) - len(good)
            known = [(f"loan-{row}-{lap}", self.outcomes[row]) for row in rows]
            self.answered.put((time.monotonic(), [pair for pair in known if pair[0] in good]))

    def tell(self):
        session = requests.Session()
        while not self.stopped.is_set():
            try:
                at, pairs = self.answered.get(timeout=0.2)
            except queue.Empty:
                continue
            time.sleep(max(0.0, at + OUTCOME_AFTER - time.monotonic()))
            batch = [pairs]
            while not self.answered.empty() and len(batch) < 50:
                if self.answered.queue[0][0] + OUTCOME_AFTER > time.monotonic():
                    break
                batch.append(self.answered.get()[1])
            now = datetime.now(timezone.utc).isoformat()
            events = [{"id": id, "model": self.model, "time": now, "label": label} for pairs in batch for id, label in pairs]
            if events:
                body = "\n".join(json.dumps(event) for event in events)
                headers = {"content-type": "application/x-ndjson"}
                session.post(f"{self.url}/v1/outcomes", data=body, headers=headers, timeout=60).raise_for_status()

    def settle(self):
        """Waits until everything that was sent is answered, and its outcomes told."""
        while not (self.work.empty() and self.answered.empty()):
            time.sleep(0.1)
        time.sleep(OUTCOME_AFTER + 0.5)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
