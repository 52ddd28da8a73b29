# The part of kafka/broker that runs Kafka's own tools against a cluster. Sourced, not run.

tool() {
  local name=${1:-} main config
  [ -n "$name" ] || die "tool needs a name; see kafka/broker help"
  shift
  config=--command-config
  case $name in
    topics) main=org.apache.kafka.tools.TopicCommand ;;
    configs) main=kafka.admin.ConfigCommand ;;
    console-producer) main=org.apache.kafka.tools.ConsoleProducer config=--producer.config ;;
    console-consumer) main=org.apache.kafka.tools.consumer.ConsoleConsumer config=--consumer.config ;;
    get-offsets) main=org.apache.kafka.tools.GetOffsetShell ;;
    consumer-groups) main=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    metadata-quorum) main=org.apache.kafka.tools.MetadataQuorumCommand ;;
    leader-election) main=org.apache.kafka.tools.LeaderElectionCommand config=--admin.config ;;
    *.*) main=$name config="" ;;
    *) die "there is no tool $name; see kafka/broker help" ;;
  esac
  local given=" $* " added=()
  if [ -n "$config" ]; then
    [[ $given = *" --bootstrap-server"* ]] || added+=(--bootstrap-server "$(bootstrap)")
    [[ $given = *" $config"* ]] || added+=("$config" "$dir/client.properties")
  fi
  make_java_line
  [ -z "$limit_s" ] || java_line=(timeout --foreground --kill-after 5 "$limit_s" "${java_line[@]}")
  exec "${java_line[@]}" -Xmx128m -Dslotline.log.target=SYSTEM_ERR -Dslotline.log.level=warn \
    -Dslotline.log.settings=error "$main" "${added[@]}" "$@"
}
