# The part of kafka/broker that finds and starts processes. Sourced, not run.
#
# A process is known by its id and the time of its birth (DIR/node-N/process), so that a number which
# the system gave to somebody else is never signalled. That file is there while the node is meant to run.

start_limit_s=60
formatting=()

# --- finding ---

# When a living process was born, in clock ticks since the machine started. One that was killed counts
# as living while any thread does: until then its ports and files are open.
born() {
  local line fields threads
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -r -a fields <<<"${line##*)}"
  threads=("/proc/$1/task"/*)
  [[ ${fields[0]} != [ZX] || ${#threads[@]} -gt 1 ]] && echo "${fields[19]}"
}

# The process id that a file names, if that process lives.
living() {
  local id birth
  { read -r id birth <"$1"; } 2>/dev/null && [ "$(born "$id")" = "$birth" ] && echo "$id"
}

process_of() { living "$dir/node-$1/process"; }

parent_is_gone() { [ -e "$dir/parent" ] && ! living "$dir/parent" >/dev/null; }

# Takes the node's number from the command line.
read_node() {
  node=${words[0]:-}
  [[ $node =~ ^[1-9]$ ]] && [ "$node" -le "$nodes" ] || die "$command needs a node from 1 to $nodes"
}

status() {
  local number client id state
  while read -r number client _; do
    state=stopped
    if id=$(process_of "$number"); then
      state="runs as process $id"
      [[ $(sed 's/.*) //' "/proc/$id/stat") != T* ]] || state="is paused as process $id"
    elif [ -e "$dir/node-$number/process" ]; then
      state="died; see $dir/node-$number/log"
    fi
    echo "node $number on 127.0.0.1:$client $state"
  done <"$dir/ports"
}

# --- starting ---

# Two commands must not start the same node at once.
lock() {
  exec 9>"$dir/lock"
  flock -w 60 9 || die "another command has been starting nodes in $dir for a minute"
}

unlock() { exec 9>&-; }

# `setsid` becomes Java itself, out of reach of an interrupt from the terminal.
launch() {
  local home=$dir/node-$1 heap=512m extra
  [ "$nodes" = 1 ] || heap=384m
  ! parent_is_gone || die "the process that the cluster was started for is gone"
  read -r -a extra <<<"${SLOTLINE_KAFKA_JAVA_OPTIONS:-}"
  [ ! -e "$home/log" ] || cat "$home/log" >>"$home/log.old"
  setsid "${java_line[@]}" "-Xmx$heap" "-XX:ErrorFile=$home/crash.log" "${extra[@]}" \
    kafka.Kafka "$home/server.properties" </dev/null >"$home/log" 2>&1 9>&- &
  echo "$! $(born $!)" >"$home/process"
  disown $!
}

# Waits until a node serves; says why if it does not.
await_node() {
  local home=$dir/node-$1 end=$((SECONDS + ${limit_s:-$start_limit_s})) problem=""
  until grep -q "Kafka Server started" "$home/log"; do
    if ! process_of "$1" >/dev/null; then
      problem="ended while it was starting"
    elif [ "$SECONDS" -ge "$end" ]; then
      problem="does not serve after ${limit_s:-$start_limit_s} seconds"
    fi
    if [ -n "$problem" ]; then
      echo "kafka: node $1 $problem; the end of $home/log:" >&2
      tail -n 30 "$home/log" >&2
      return 1
    fi
    sleep 0.05
  done
}

await_started() {
  local number any=no
  for number in $(seq 1 "$nodes"); do
    [ -e "$dir/node-$number/process" ] || continue
    any=yes
    await_node "$number" || return 1
  done
  [ $any = yes ] || die "no node of $dir was started"
}

start_node() {
  lock
  ! process_of "$node" >/dev/null || die "node $node runs already"
  make_java_line
  launch "$node"
  unlock
  [ "$waits" = no ] || await_node "$node"
}

start() {
  [ -z "$parent" ] || born "$parent" >/dev/null || die "there is no process $parent to start the cluster for"
  fetch
  umask 077
  mkdir -p "$dir"
  lock
  if [ -e "$dir/cluster" ]; then check_cluster; else make_cluster; fi
  local number
  for number in $(seq 1 "$nodes"); do
    ! process_of "$number" >/dev/null || die "node $number of $dir runs already; see kafka/broker status"
  done
  trap abandon EXIT
  trap 'exit 130' INT TERM
  name_parent
  make_java_line
  if [ -n "$first_port" ]; then write_ports "$first_port"; fi
  if [ -e "$dir/ports" ]; then
    check_ports
    launch_all
    [ "$waits" = no ] || await_started || exit 1
  else
    start_on_free_ports
  fi
  trap - EXIT INT TERM
  bootstrap
}

# A port that was free when it was chosen may be taken when the node comes to it: then others are chosen.
start_on_free_ports() {
  local attempt
  for attempt in 1 2 3 4 5; do
    choose_ports
    launch_all
    [ "$waits" = yes ] || return 0
    if await_started 2>"$dir/start.log"; then return 0; fi
    stop_nodes 0
    grep -q "Address already in use" "$dir"/node-*/log || break
    lock
  done
  cat "$dir/start.log" >&2
  rm -f "$dir/ports"
  exit 1
}

# A start that fails leaves no process behind, and no folder that nobody asked to keep.
abandon() {
  stop_nodes 0
  wait "${formatting[@]}" || true
  [ "$temporary" = no ] || rm -rf "$dir"
}

name_parent() {
  rm -f "$dir/parent"
  [ -z "$parent" ] || echo "$parent $(born "$parent" || true)" >"$dir/parent"
}

launch_all() {
  local number
  write_settings
  formatting=()
  for number in $(seq 1 "$nodes"); do
    format "$number" &
    formatting+=($!)
  done
  for number in "${formatting[@]}"; do wait "$number"; done
  for number in $(seq 1 "$nodes"); do launch "$number"; done
  [ ! -e "$dir/parent" ] || launch_watch
  unlock
}
