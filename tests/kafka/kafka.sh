#!/usr/bin/env bash
# A real Apache Kafka for the tests: one node (KRaft, broker and controller) on 127.0.0.1.
#
#   kafka.sh resolve             fetches the jars with Maven, once
#   kafka.sh start DIR [PORT]    starts a broker with its data and logs in DIR and waits until it answers; writes
#                                DIR/pid and DIR/bootstrap (host:port). Without PORT, or with 0: the port that DIR
#                                had before, else a free one. A DIR that was used before keeps its topics.
#   kafka.sh stop DIR            stops it
#   kafka.sh run CLASS ARGS...   runs one of Kafka's own tools, such as org.apache.kafka.tools.TopicCommand
#
# With KAFKA_OWNER_PID set, `start` leaves a watcher that stops the broker when that process has gone.
# Exit codes: 0 done, 1 failed, 2 usage, 3 Java or Maven is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/plimsoll/kafka
jars=$cache/$(cksum <"$here/pom.xml" | cut -d' ' -f1)
start_seconds=60
stop_seconds=20

fail() { echo "kafka.sh: $1" >&2; exit "${2:-1}"; }
usage() { fail "usage: kafka.sh resolve | start DIR [PORT] | stop DIR | run CLASS ARGS..." 2; }

need() {
  local missing=
  for tool in "$@"; do command -v "$tool" >/dev/null || missing=1; done
  [ -z "$missing" ] || fail "Java 17 or newer and Maven are needed: apt-get install default-jre-headless maven" 3
}

resolve() {
  need java
  [ -d "$jars" ] && return
  need mvn
  mkdir -p "$cache"
  local fresh log
  fresh=$(mktemp -d "$cache/fresh.XXXXXX")
  log=$fresh.log
  if ! mvn -q -B -ntp -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$fresh" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -rf "$fresh" "$log"
    fail "Maven could not fetch Kafka"
  fi
  chmod 755 "$fresh"
  # Whoever comes second in a race has the same jars and throws its own away.
  mv -T "$fresh" "$jars" 2>/dev/null || rm -rf "$fresh"
  rm -f "$log"
}

run() { java -Xmx256m -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$jars/*" "$@"; }

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the range from which the system takes ports for outgoing connections.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((15000 + (RANDOM * 32768 + RANDOM) % 17000))
    listens "$port" || { echo "$port"; return; }
  done
  fail "found no free port"
}

# The broker of DIR, and no other process that has inherited its number.
is_running() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  grep -qzxF "$1/server.properties" "/proc/$pid/cmdline" 2>/dev/null
}

configure() {
  local dir=$1 port=$2 controller=$3
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
log.dirs=$dir/data
num.partitions=1
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.num.partitions=3
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# The broker's message.max.bytes stays at its default (1 MiB); topics may allow up to 16 MiB.
replica.fetch.max.bytes=16777216
log.cleaner.dedupe.buffer.size=16777216
PROPERTIES
}

cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=\n'; }

format() {
  [ -f "$1/data/meta.properties" ] && return
  run kafka.tools.StorageTool format -t "$(cluster_id)" -c "$1/server.properties" >>"$1/kafka.log" 2>&1
}

# Starts a broker; fails at once when it ends, so that another port can be tried.
launch() {
  local dir=$1 port=$2 before pid
  before=$(wc -c <"$dir/kafka.log")
  java -Xms128m -Xmx512m -XX:+UseSerialGC -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$jars/*" \
    kafka.Kafka "$dir/server.properties" >>"$dir/kafka.log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$dir/pid"
  for _ in $(seq $((start_seconds * 10))); do
    kill -0 "$pid" 2>/dev/null || return 1
    if tail -c "+$((before + 1))" "$dir/kafka.log" | grep -q "Kafka Server started" && listens "$port"; then
      echo "127.0.0.1:$port" >"$dir/bootstrap"
      return
    fi
    sleep 0.1
  done
  stop "$dir"
  return 1
}

watch_owner() {
  local dir=$1 owner=$2 pid=$3
  while kill -0 "$owner" 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 1
  done
  stop "$dir"
}

start() {
  local dir=$1 wanted=${2:-0} tries=5 port
  need java
  resolve
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  if is_running "$dir"; then fail "a broker is already running in $dir"; fi
  touch "$dir/kafka.log"
  [ "$wanted" != 0 ] || wanted=$(sed 's/.*://' "$dir/bootstrap" 2>/dev/null || echo 0)
  [ "$wanted" = 0 ] || tries=1
  for _ in $(seq "$tries"); do
    port=$wanted
    [ "$port" != 0 ] || port=$(free_port)
    configure "$dir" "$port" "$(free_port)"
    format "$dir" || break
    if launch "$dir" "$port"; then
      if [ -n "${KAFKA_OWNER_PID:-}" ]; then
        watch_owner "$dir" "$KAFKA_OWNER_PID" "$(cat "$dir/pid")" >/dev/null 2>&1 </dev/null &
      fi
      return
    fi
  done
  rm -f "$dir/pid"
  tail -n 20 "$dir/kafka.log" >&2
  fail "Kafka did not start; its log is $dir/kafka.log"
}

stop() {
  local dir pid
  dir=$(cd "$1" 2>/dev/null && pwd) || fail "there is no folder $1"
  if is_running "$dir"; then
    pid=$(cat "$dir/pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq $((stop_seconds * 10))); do
      is_running "$dir" || break
      sleep 0.1
    done
    if is_running "$dir"; then kill -9 "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$dir/pid"
}

case "${1:-}" in
  resolve) [ $# -eq 1 ] || usage; resolve ;;
  start) [ $# -eq 2 ] || [ $# -eq 3 ] || usage; start "$2" "${3:-0}" ;;
  stop) [ $# -eq 2 ] || usage; stop "$2" ;;
  run) [ $# -ge 2 ] || usage; resolve; shift; run "$@" ;;
  *) usage ;;
esac
