#!/usr/bin/env python3
"""An SMTP server that keeps what it gets, for the tests.

    sink.py --dir DIR [--fail-first N]

Listens on a free port of 127.0.0.1, writes it to DIR/port, and stores message n as DIR/n.eml with the envelope in
the headers X-MailFrom and X-RcptTo. The first N messages are refused with 451 and not stored. Ends on SIGTERM.
"""

import argparse
import asyncio
import os
import signal
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_BYTES = 32 * 1024 * 1024


class Sink:
    def __init__(self, folder: Path, fail_first: int) -> None:
        self.folder = folder
        self.refusals_left = fail_first
        self.stored = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refusals_left > 0:
            self.refusals_left -= 1
            return "451 4.3.0 Temporary failure, try again"
        self.stored += 1
        recipients = ", ".join(envelope.rcpt_tos)
        header = f"X-MailFrom: {envelope.mail_from}\r\nX-RcptTo: {recipients}\r\n"
        write_at_once(self.folder / f"{self.stored}.eml", header.encode() + envelope.original_content)
        return "250 2.0.0 Ok"


def write_at_once(path: Path, content: bytes) -> None:
    """A reader sees the whole file or none."""
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(content)
    os.replace(draft, path)


async def serve(folder: Path, fail_first: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    sink = Sink(folder, fail_first)
    session = lambda: SMTP(sink, hostname="localhost", data_size_limit=MAX_BYTES, enable_SMTPUTF8=True)
    server = await loop.create_server(session, "127.0.0.1", 0)
    write_at_once(folder / "port", str(server.sockets[0].getsockname()[1]).encode())
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True, help="where port and messages go")
    parser.add_argument("--fail-first", type=int, default=0, metavar="N", help="refuse the first N messages")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.dir, arguments.fail_first))


if __name__ == "__main__":
    main()
