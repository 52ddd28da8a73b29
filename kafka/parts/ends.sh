# The part of kafka/broker that pauses and ends processes. Sourced, not run.

signal_node() {
  local id
  id=$(process_of "$node") || die "node $node does not run"
  kill "-$1" "$id"
}

# A signal takes effect thread by thread; only then is the node really paused.
pause_node() {
  signal_node STOP
  until [ -z "$(grep -L ') T ' "/proc/$(process_of "$node")"/task/*/stat 2>/dev/null)" ]; do
    sleep 0.02
  done
}

kill_node() {
  signal_node KILL
  await_end 10 "$node" || die "node $node does not end; the system holds it"
  rm -f "$dir/node-$node/process"
}

# Waits until none of these nodes runs; fails after so many seconds.
await_end() {
  local end=$((SECONDS + $1)) number
  shift
  for number in "$@"; do
    while process_of "$number" >/dev/null; do
      [ "$SECONDS" -lt "$end" ] || return 1
      sleep 0.05
    done
  done
}

# Ends these nodes in order, and after so many seconds without it; no seconds means at once.
end_nodes() {
  local patience_s=$1 number id
  shift
  for number in "$@"; do
    id=$(process_of "$number") || continue
    if [ "$patience_s" = 0 ]; then
      kill -KILL "$id" 2>/dev/null || true
    else
      kill -TERM "$id" 2>/dev/null || true
      kill -CONT "$id" 2>/dev/null || true
    fi
  done
  if ! await_end "$patience_s" "$@"; then
    [ "$patience_s" = 0 ] || echo "kafka: not everything ended within $patience_s s; killing it" >&2
    for number in "$@"; do
      id=$(process_of "$number") && kill -KILL "$id" 2>/dev/null || true
    done
    await_end 10 "$@" || die "a node does not end; the system holds it"
  fi
  for number in "$@"; do rm -f "$dir/node-$number/process"; done
}

stop_nodes() { end_nodes "$1" $(seq 1 "$nodes"); }

wipe() {
  stop_nodes 0
  rm -rf "$dir"
}

# --- the watch ---

launch_watch() {
  setsid "$here/broker" watch --dir "$dir" </dev/null >/dev/null 2>&1 9>&- &
  echo $! >"$dir/watch"
}

# Ends all nodes when the process that the cluster was started for is gone; a later start has a watch of
# its own. A start that is under way may launch one more node: it is ended when the lock is free.
watch() {
  until parent_is_gone; do
    sleep 0.3
    [ "$(cat "$dir/watch" 2>/dev/null)" = $$ ] || exit 0
  done
  stop_nodes 0
  lock
  stop_nodes 0
  [ "$temporary" = no ] || rm -rf "$dir"
}
