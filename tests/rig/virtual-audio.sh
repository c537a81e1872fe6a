#!/usr/bin/env bash
# virtual-audio.sh - a private sound card made of software: a PulseAudio server with a speaker and a microphone.
#
#   eval "$(virtual-audio.sh start)"       start it and take the environment that it prints
#   virtual-audio.sh env                   print that environment again
#   virtual-audio.sh feed FILE.wav         play FILE into the microphone; returns when it has been played
#   virtual-audio.sh record-start FILE.wav [RATE]   begin to write what the speaker plays (mono, 16 bits)
#   virtual-audio.sh record-stop           end that recording, its header made right
#   virtual-audio.sh echo-on [MS] [GAIN]   let the speaker leak into the microphone
#   virtual-audio.sh echo-off
#   virtual-audio.sh unplug speaker|mic    take that device away from the programs that use it
#   virtual-audio.sh kill                  end the server without a goodbye, as a crash would
#   virtual-audio.sh stop                  end everything that it started and remove its folder
#
# VAUDIO_DIR (default /tmp/vaudio-UID) holds socket, pid, log and ALSA configuration: two with different folders run side
# by side, and nothing is written anywhere else. Needs the Debian packages pulseaudio, pulseaudio-utils and
# libasound2-plugins. Runs as root, too.
set -u
DIR=${VAUDIO_DIR:-/tmp/vaudio-$(id -u)}
CARD_HZ=48000

# A zombie does not count: in a container, process 1 may take seconds to reap it, and kill -0 is true until then.
is_running() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/${1:-none}/status" 2>/dev/null)
  [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

is_up() {
  local pid
  pid=$(cat "$DIR/run/pid" 2>/dev/null) || return 1
  is_running "$pid" && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = pulseaudio ]
}

# end_process PIDFILE SIGNAL: end one process that this script started, and wait until it is gone.
end_process() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  if is_running "$pid"; then
    kill -"$2" "$pid" 2>/dev/null
    for _ in $(seq 200); do
      is_running "$pid" || break
      sleep 0.01
    done
    is_running "$pid" && kill -KILL "$pid" 2>/dev/null
  fi
  rm -f "$1"
}

use_own_server() {
  export XDG_RUNTIME_DIR=$DIR PULSE_RUNTIME_PATH=$DIR/run PULSE_STATE_PATH=$DIR/state PULSE_COOKIE=$DIR/cookie
  export PULSE_SERVER=unix:$DIR/native
  unset PULSE_SINK PULSE_SOURCE DISPLAY DBUS_SESSION_BUS_ADDRESS
}

print_env() {
  cat <<END
export PULSE_SERVER=unix:$DIR/native
export PULSE_COOKIE=$DIR/cookie
export PULSE_RUNTIME_PATH=$DIR/run
export ALSA_CONFIG_PATH=$DIR/asound.conf
END
}

start() {
  is_up && return 0
  local command
  for command in pulseaudio pactl paplay parecord; do
    command -v "$command" >/dev/null || {
      echo "virtual-audio: $command is missing: apt-get install pulseaudio pulseaudio-utils libasound2-plugins" >&2
      exit 2
    }
  done
  rm -rf "$DIR"
  mkdir -p "$DIR/run" "$DIR/state"
  chmod 700 "$DIR" "$DIR/run"
  printf '%s\n' 'pcm.!default { type pulse }' 'ctl.!default { type pulse }' >"$DIR/asound.conf"
  use_own_server
  local sink=module-null-sink
  # norewinds keeps an idle sink's clock going: without it the microphone's first sound comes up to 2 s late.
  # speex-float-5 leaves the sound as it is (35 dB and more); the default resampler costs 7 dB.
  HOME=$DIR pulseaudio -n --daemonize=yes --use-pid-file=yes --exit-idle-time=-1 --disallow-exit=no \
    --resample-method=speex-float-5 --realtime=no --high-priority=no --disable-shm=yes --enable-memfd=no \
    --log-level=notice --log-target=newfile:"$DIR/log" \
    -L "module-native-protocol-unix auth-anonymous=1 socket=$DIR/native" \
    -L "$sink sink_name=speaker rate=$CARD_HZ channels=1 norewinds=1 sink_properties=device.description=Speaker" \
    -L "$sink sink_name=micfeed rate=$CARD_HZ channels=1 norewinds=1 sink_properties=device.description=MicFeed" \
    -L "module-remap-source source_name=mic master=micfeed.monitor source_properties=device.description=Mic" \
    >"$DIR/start.out" 2>&1 || { cat "$DIR/start.out" "$DIR"/log* >&2; exit 1; }
  pactl set-default-sink speaker
  pactl set-default-source mic
}

start_recording() {
  local file=$1 rate=${2:-24000}
  use_own_server
  end_process "$DIR/record.pid" INT
  rm -f "$file"
  setsid parecord --device=speaker.monitor --rate="$rate" --channels=1 --format=s16le --file-format=wav \
    --latency-msec=20 "$file" </dev/null >/dev/null 2>"$DIR/record.log" &
  echo $! >"$DIR/record.pid"
  # The header comes with the first sound: from then on nothing is missed.
  for _ in $(seq 250); do
    [ -s "$file" ] && return 0
    sleep 0.02
  done
  cat "$DIR/record.log" >&2
  exit 1
}

start_echo() {
  local delay_ms=${1:-60} gain=${2:-0.4} module input volume
  use_own_server
  stop_echo
  module=$(pactl load-module module-loopback source=speaker.monitor sink=micfeed latency_msec="$delay_ms" \
    source_dont_move=true sink_dont_move=true adjust_time=0) || exit 1
  echo "$module" >"$DIR/echo.module"
  input=$(pactl list sink-inputs |
    awk -v module="$module" '/^Sink Input #/ {input = substr($3, 2)} /Owner Module:/ && $3 == module {print input}')
  volume=$(awk -v gain="$gain" 'BEGIN {printf "%d", 65536 * gain ^ (1 / 3)}') # PulseAudio's volume is cubic
  pactl set-sink-input-volume "$input" "$volume"
}

stop_echo() {
  use_own_server
  [ -f "$DIR/echo.module" ] && pactl unload-module "$(cat "$DIR/echo.module")"
  rm -f "$DIR/echo.module"
}

unplug() {
  local name module
  case $1 in
    speaker) name=sink_name=speaker ;;
    mic) name=source_name=mic ;;
    *) echo "virtual-audio: no device $1" >&2; exit 2 ;;
  esac
  use_own_server
  module=$(pactl list short modules | awk -v name="$name" 'index($0, name " ") {print $1}')
  pactl unload-module "$module"
}

case ${1:-} in
  start) start; print_env ;;
  env) print_env ;;
  feed) use_own_server; exec paplay --device=micfeed "$2" ;;
  record-start) start_recording "$2" "${3:-}" ;;
  record-stop) end_process "$DIR/record.pid" INT ;;
  echo-on) start_echo "${2:-}" "${3:-}" ;;
  echo-off) stop_echo ;;
  unplug) unplug "${2:-}" ;;
  kill) is_up && kill -KILL "$(cat "$DIR/run/pid")" ;;
  stop)
    end_process "$DIR/record.pid" INT
    is_up && cp "$DIR/run/pid" "$DIR/server.pid" && end_process "$DIR/server.pid" TERM
    rm -rf "$DIR"
    ;;
  *) sed -n '2,18s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
