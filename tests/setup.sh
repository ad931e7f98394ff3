#!/usr/bin/env bash
# Installs or names what is missing.
#
#   setup.sh build     a C toolchain, for the native libraries that are built from source
#   setup.sh test      also rustfmt and clippy, Java and Maven (a real Kafka), Python environments
#   setup.sh golden    only the Python environments of tests/golden
#   setup.sh numpy     only the smallest one that has NumPy and SciPy, for the benches
#   setup.sh serve     only the one with ONNX Runtime, scikit-learn and mlflow, for `make loop` and the bench of serving
#
# As root on Debian it installs packages; otherwise it says in one line what to install. What only some tests need
# may be missing (they are then reported as skipped), unless CI=true.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/plimsoll
exec >&2 # standard output belongs to the command that comes after

has() { command -v "$1" >/dev/null; }
fail() { echo "setup: $1"; exit 1; }

# What only some tests need.
lacks() {
  [ "${CI:-}" != true ] || fail "$1"
  echo "setup: $1; tests that need it are skipped"
}

can_install() { [ "$(id -u)" = 0 ] && has apt-get; }

apt_install() {
  can_install || return 1
  echo "setup: installing $*"
  local log
  log=$(mktemp)
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log"
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

# librdkafka and libSQL want C and C++, OpenSSL a whole Perl (the `perl-base` of small images is not enough).
has_c() { has cc && has c++ && has make && has ar; }
has_perl() { perl -MFindBin -MIPC::Cmd -MFile::Compare -MTime::Piece -e 1 2>/dev/null; }
has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

build() {
  has cargo || fail "Rust 1.95 or newer is needed (rustup)"
  local missing=()
  has_c || missing+=(build-essential)
  has_perl || missing+=(perl)
  [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}" || fail "please install: apt-get install ${missing[*]}"
}

component() {
  cargo "$2" --version >/dev/null 2>&1 && return
  has rustup && rustup component add "$1" && return
  fail "please install: rustup component add $1"
}

# A Python environment in $1 with the packages of $2, made anew when those have changed.
environment() {
  local folder=$1 requirements=$2
  cmp -s "$requirements" "$folder/requirements.txt" && "$folder/bin/python" -c '' 2>/dev/null && return
  rm -rf "$folder"
  python3 -m venv "$folder" &&
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" </dev/null &&
    cp "$requirements" "$folder/requirements.txt" && return
  rm -rf "$folder"
  return 1
}

python_environment() {
  has_venv || apt_install python3-venv || { lacks "please install: apt-get install python3-venv"; return; }
  mkdir -p "$cache"
  environment "$cache/$1" "$2" || lacks "the Python packages of ${2##*/} could not be installed"
}

kafka() {
  local missing=()
  has java || missing+=(default-jre-headless)
  has mvn || missing+=(maven)
  if [ ${#missing[@]} -gt 0 ] && ! apt_install "${missing[@]}"; then
    lacks "please install: apt-get install ${missing[*]}"
    return
  fi
  "$here/kafka/kafka.sh" resolve || lacks "Kafka could not be fetched"
}

case "${1:-}" in
  build) build ;;
  test)
    build
    component rustfmt fmt
    component clippy clippy
    python_environment venv "$here/requirements.txt"
    python_environment mlflow-2-venv "$here/requirements-mlflow-2.txt"
    python_environment mlflow-3-venv "$here/requirements-mlflow-3.txt"
    python_environment serve-venv "$here/requirements-serve.txt"
    kafka
    ;;
  golden)
    python_environment golden-venv "$here/golden/requirements.txt"
    python_environment golden-river-venv "$here/golden/requirements-river.txt"
    python_environment golden-performance-venv "$here/golden/requirements-performance.txt"
    python_environment golden-presets-venv "$here/golden/requirements-presets.txt"
    ;;
  numpy) python_environment golden-river-venv "$here/golden/requirements-river.txt" ;;
  serve) python_environment serve-venv "$here/requirements-serve.txt" ;;
  *) fail "usage: setup.sh build | test | golden | numpy | serve" ;;
esac
