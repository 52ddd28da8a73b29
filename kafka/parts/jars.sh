# The part of kafka/broker that gets Kafka onto the machine. Sourced, not run.
#
# The jars stand in one folder, so that clones and continuous integration can share it. A file named
# `complete` says which list of jars (pom.xml) is there in full; whatever else is found is thrown away.

libs=$(realpath -m "${SLOTLINE_KAFKA_LIBS:-$root/target/kafka/libs}")
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

# Gets the jars and the archive of their classes unless both are there.
fetch() {
  local list
  list=$(cksum <"$here/pom.xml")
  if [ "$(cat "$libs/complete" 2>/dev/null)" = "$list" ] && [ -e "$(archive)" ]; then
    return 0
  fi
  need_java
  mkdir -p "$libs"
  (
    flock 8
    [ "$(cat "$libs/complete" 2>/dev/null)" = "$list" ] || fetch_jars "$list"
    [ -e "$(archive)" ] || make_archive
  ) 8>"$libs/lock"
}

need_java() {
  local version
  version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p') || true
  [ "${version:-0}" -ge 17 ] ||
    die "Kafka needs Java 17 or newer, found ${version:-none}; scripts/setup installs it, JAVA_HOME chooses it"
}

fetch_jars() {
  command -v mvn >/dev/null || die "Maven fetches the jars and is missing; scripts/setup installs it"
  echo "kafka: fetching Apache Kafka, about 45 MB" >&2
  rm -rf "$libs/complete" "$libs/jars" "$libs/jars.part" "$libs"/classes-*
  local attempt
  for attempt in 1 2 3; do
    mvn --batch-mode --quiet -Dstyle.color=never --file "$here/pom.xml" \
      org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$libs/jars.part" \
      >"$libs/maven.log" 2>&1 8>&- && break
    [ "$attempt" != 3 ] || die "Maven could not fetch the jars: $(cat "$libs/maven.log")"
    sleep $((attempt * 5))
  done
  mv "$libs/jars.part" "$libs/jars"
  echo "$1" >"$libs/complete"
}

# Where the archive of the classes belongs: one that another Java wrote, or for jars in another place, is
# of no use.
archive() {
  local binary key
  binary=$(readlink -f "$(command -v "$java" || true)")
  key=$(stat -L -c "$libs %n %s %Y" "${binary:-/}" | cksum)
  echo "$libs/classes-${key%% *}.jsa"
}

# Loading and checking eight thousand classes is half of what a node's start costs. A node that starts
# once and stops leaves them as an archive that the next ones map. Without it all works, more slowly.
make_archive() {
  echo "kafka: archiving the classes for quick starts" >&2
  local home file options
  home=$(mktemp -d)
  file=$(archive)
  options="${SLOTLINE_KAFKA_JAVA_OPTIONS:-} -XX:ArchiveClassesAtExit=$file.part"
  rm -f "$libs"/classes-*
  # The empty file keeps the node below from coming here as well.
  : >"$file"
  if SLOTLINE_KAFKA_JAVA_OPTIONS=$options "$here/broker" start --dir "$home/node" >/dev/null 8>&-; then
    "$here/broker" stop --dir "$home/node" --limit 60 8>&- || true
  fi
  if [ -s "$file.part" ]; then
    mv "$file.part" "$file"
  else
    echo "kafka: the classes could not be archived; nodes start a little more slowly" >&2
  fi
  "$here/broker" wipe --dir "$home/node" 8>&- || true
  rm -rf "$home"
}

# Sets java_line to the words that run Java with the jars. What the machine says about itself must not
# mix with a tool's output.
make_java_line() {
  local jars=("$libs"/jars/*.jar) file class_path
  class_path=$(IFS=: && echo "${jars[*]}")
  file=$(archive)
  java_line=("$java" -cp "$class_path" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData
    -XX:+ExitOnOutOfMemoryError -Xshare:auto -Xlog:disable -Xlog:all=error:stderr
    "-Dlog4j2.configurationFile=$here/log4j2.properties")
  [ ! -s "$file" ] || java_line+=("-XX:SharedArchiveFile=$file")
}
