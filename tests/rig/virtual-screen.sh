#!/usr/bin/env bash
# virtual-screen.sh - a private X server without a screen (Xvfb).
#
#   eval "$(virtual-screen.sh start [WxH])"   start it, 1920x1080 unless told, and take the DISPLAY that it prints
#   virtual-screen.sh env                     print that DISPLAY again
#   virtual-screen.sh stop                    end it and remove its folder
#
# VSCREEN_DIR (default /tmp/vscreen-UID) holds pid, log and display number: two with different folders run side by side.
# Needs the Debian package xvfb.
set -u
DIR=${VSCREEN_DIR:-/tmp/vscreen-$(id -u)}

# A zombie does not count: in a container, process 1 may take seconds to reap it, and kill -0 is true until then.
is_running() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/${1:-none}/status" 2>/dev/null)
  [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

is_up() {
  [ -f "$DIR/pid" ] && is_running "$(cat "$DIR/pid")"
}

start() {
  is_up && return 0
  command -v Xvfb >/dev/null || { echo "virtual-screen: apt-get install xvfb" >&2; exit 2; }
  mkdir -p "$DIR"
  rm -f "$DIR/display"
  # With -displayfd the server picks a free number and names it once it is ready: no waiting, no clash.
  setsid Xvfb -displayfd 3 -screen 0 "${1:-1920x1080}x24" -nolisten tcp -noreset -ac \
    3>"$DIR/display" >"$DIR/log" 2>&1 </dev/null &
  echo $! >"$DIR/pid"
  for _ in $(seq 500); do
    [ -s "$DIR/display" ] && return 0
    is_up || break
    sleep 0.01
  done
  cat "$DIR/log" >&2
  exit 1
}

stop() {
  local pid
  if is_up; then
    pid=$(cat "$DIR/pid")
    kill "$pid"
    for _ in $(seq 200); do
      is_running "$pid" || break
      sleep 0.01
    done
  fi
  rm -rf "$DIR"
}

print_env() {
  echo "export DISPLAY=:$(cat "$DIR/display")"
}

case ${1:-} in
  start) start "${2:-}"; print_env ;;
  env) is_up && print_env ;;
  stop) stop ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
