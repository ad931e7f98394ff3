#!/usr/bin/env bash
# A real Apache Kafka for the tests (KRaft, each node broker and controller) on 127.0.0.1.
#
#   kafka.sh resolve             fetches the jars with Maven, once
#   kafka.sh start DIR [PORT]    starts a broker with its data and logs in DIR and waits until it answers; writes
#                                DIR/pid and DIR/bootstrap (host:port). Without PORT, or with 0: the port that DIR
#                                had before, else a free one. A DIR that was used before keeps its topics.
#   kafka.sh cluster DIR N       starts N nodes, with their data and logs in DIR/1 to DIR/N, that replicate every topic to
#                                as many as three of them, and waits until all answer; writes DIR/bootstrap
#   kafka.sh start DIR/2         starts a node of a cluster again, with the ports that it had
#   kafka.sh stop DIR            stops a broker, or all nodes of a cluster; DIR/2 stops one of them
#   kafka.sh kill DIR            ends a broker at once, as a crash does
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
usage() {
  fail "usage: kafka.sh resolve | start DIR [PORT] | cluster DIR N | stop DIR | kill DIR | run CLASS ARGS..." 2
}

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

# Writes the properties of one node: DIR NODE PORT CONTROLLER_PORT VOTERS COPIES.
configure() {
  local dir=$1 node=$2 port=$3 controller=$4 voters=$5 copies=$6
  local enough=$((copies > 1 ? copies - 1 : 1))
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
log.dirs=$dir/data
num.partitions=1
auto.create.topics.enable=false
default.replication.factor=$copies
min.insync.replicas=$enough
offsets.topic.num.partitions=3
offsets.topic.replication.factor=$copies
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$enough
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$enough
group.initial.rebalance.delay.ms=0
# The broker's message.max.bytes stays at its default (1 MiB); topics may allow up to 16 MiB.
replica.fetch.max.bytes=16777216
log.cleaner.dedupe.buffer.size=16777216
PROPERTIES
}

cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=\n'; }

# Makes the folder of a node's data; DIR [CLUSTER_ID].
format() {
  [ -f "$1/data/meta.properties" ] && return
  run kafka.tools.StorageTool format -t "${2:-$(cluster_id)}" -c "$1/server.properties" >>"$1/kafka.log" 2>&1
}

# Starts a broker; fails at once when it ends, so that another port can be tried.
launch() {
  local dir=$1 port=$2 heap=512m before pid
  [ ! -e "$dir/cluster_node" ] || heap=256m
  before=$(wc -c <"$dir/kafka.log")
  java -Xms64m -Xmx$heap -XX:+UseSerialGC -Djava.awt.headless=true \
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
  local dir=$1 wanted=${2:-0} tries=5 port controller
  need java
  resolve
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  if is_running "$dir"; then fail "a broker is already running in $dir"; fi
  touch "$dir/kafka.log"
  if [ -f "$dir/cluster_node" ]; then
    start_node "$dir"
    return
  fi
  [ "$wanted" != 0 ] || wanted=$(sed 's/.*://' "$dir/bootstrap" 2>/dev/null || echo 0)
  [ "$wanted" = 0 ] || tries=1
  for _ in $(seq "$tries"); do
    port=$wanted
    [ "$port" != 0 ] || port=$(free_port)
    controller=$(free_port)
    configure "$dir" 1 "$port" "$controller" "1@127.0.0.1:$controller" 1
    format "$dir" || break
    if launch "$dir" "$port"; then
      leave_watcher "$dir"
      return
    fi
  done
  failed "$dir"
}

leave_watcher() {
  [ -n "${KAFKA_OWNER_PID:-}" ] || return 0
  watch_owner "$1" "$KAFKA_OWNER_PID" "$(cat "$1/pid")" >/dev/null 2>&1 </dev/null &
}

failed() {
  rm -f "$1/pid"
  tail -n 20 "$1/kafka.log" >&2
  fail "Kafka did not start; its log is $1/kafka.log"
}

# A node of a cluster keeps its ports: the others know them.
start_node() {
  launch "$1" "$(cat "$1/cluster_node")" || failed "$1"
  leave_watcher "$1"
}

# The nodes start together: none is up before most of them are.
cluster() {
  local dir=$1 count=$2
  need java
  resolve
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  [ ! -e "$dir/bootstrap" ] || fail "there is a cluster in $dir already: start its nodes one by one"
  for _ in 1 2 3; do
    prepare "$dir" "$count"
    if start_all "$dir" "$count"; then return; fi
    for node in $(seq "$count"); do stop "$dir/$node"; done
  done
  rm -f "$dir/bootstrap"
  tail -n 20 "$dir"/*/kafka.log >&2
  fail "the Kafka cluster did not start; its logs are in $dir"
}

prepare() {
  local dir=$1 count=$2 ports=() voters= bootstrap= id node
  id=$(cluster_id)
  while [ ${#ports[@]} -lt $((2 * count)) ]; do
    local port
    port=$(free_port)
    [[ " ${ports[*]} " == *" $port "* ]] || ports+=("$port")
  done
  for node in $(seq "$count"); do
    voters+=${voters:+,}$node@127.0.0.1:${ports[count + node - 1]}
    bootstrap+=${bootstrap:+,}127.0.0.1:${ports[node - 1]}
  done
  for node in $(seq "$count"); do
    rm -rf "${dir:?}/$node"
    mkdir "$dir/$node"
    touch "$dir/$node/kafka.log"
    echo "${ports[node - 1]}" >"$dir/$node/cluster_node"
    configure "$dir/$node" "$node" "${ports[node - 1]}" "${ports[count + node - 1]}" "$voters" $((count < 3 ? count : 3))
    format "$dir/$node" "$id" || failed "$dir/$node"
  done
  echo "$bootstrap" >"$dir/bootstrap"
}

start_all() {
  local dir=$1 count=$2 node starting=() up=0
  for node in $(seq "$count"); do
    (start_node "$dir/$node") &
    starting+=($!)
  done
  for node in "${starting[@]}"; do wait "$node" || up=1; done
  return "$up"
}

stop() {
  local dir pid node
  dir=$(cd "$1" 2>/dev/null && pwd) || fail "there is no folder $1"
  for node in "$dir"/*/cluster_node; do
    [ ! -e "$node" ] || (stop "$(dirname "$node")") &
  done
  wait
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

crash() {
  local dir
  dir=$(cd "$1" 2>/dev/null && pwd) || fail "there is no folder $1"
  is_running "$dir" || fail "no broker is running in $dir"
  kill -9 "$(cat "$dir/pid")"
  while is_running "$dir"; do sleep 0.1; done
  rm -f "$dir/pid"
}

case "${1:-}" in
  resolve) [ $# -eq 1 ] || usage; resolve ;;
  start) [ $# -eq 2 ] || [ $# -eq 3 ] || usage; start "$2" "${3:-0}" ;;
  cluster) [ $# -eq 3 ] && [ "$3" -ge 1 ] || usage; cluster "$2" "$3" ;;
  kill) [ $# -eq 2 ] || usage; crash "$2" ;;
  stop) [ $# -eq 2 ] || usage; stop "$2" ;;
  run) [ $# -ge 2 ] || usage; resolve; shift; run "$@" ;;
  *) usage ;;
esac
