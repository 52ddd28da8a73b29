# The part of kafka/broker that writes a cluster's folder: ports, settings, secrets. Sourced, not run.
#
#   DIR/cluster             nodes, security, cluster id and whether DIR is temporary, each on its line
#   DIR/ports               a line a node: number, client port, controller port, internal port
#   DIR/client.properties   what a client needs, in the words of Java and of librdkafka
#   DIR/ca.pem              with ssl: the authority that a client must trust
#   DIR/node-N/             server.properties, log, data, and the process while it is meant to run

value() { sed -n "s/^$1=//p" "$dir/cluster"; }

read_cluster() {
  [ -e "$dir/cluster" ] ||
    die "there is no cluster in $dir; begin with: kafka/broker start --dir $dir"
  nodes=$(value nodes) security=$(value security) temporary=$(value temporary)
}

bootstrap() {
  awk '{ printf "%s127.0.0.1:%s", (NR > 1 ? "," : ""), $2 } END { print "" }' "$dir/ports"
}

# Decides what a new folder will hold.
make_cluster() {
  nodes=${nodes:-1} security=${security:-plaintext}
  make_secrets
  printf 'nodes=%s\nsecurity=%s\ntemporary=%s\nid=%s\n' "$nodes" "$security" "$temporary" \
    "$(random 16 | base64 | tr '+/' 'AB' | cut -c 1-22)" >"$dir/cluster"
}

# A folder keeps its number of nodes and its security for as long as it lives.
check_cluster() {
  local wanted_nodes=$nodes wanted_security=$security
  read_cluster
  [ "${wanted_nodes:-$nodes}" = "$nodes" ] && [ "${wanted_security:-$security}" = "$security" ] ||
    die "$dir holds a cluster with --nodes $nodes --security $security; wipe it or take another folder"
}

random() { head -c "$1" /dev/urandom; }

# --- ports ---

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

write_ports() {
  local number
  for number in $(seq 1 "$nodes"); do
    echo "$number $(($1 + number - 1)) $(($1 + nodes + number - 1)) $(($1 + 2 * nodes + number - 1))"
  done >"$dir/ports"
}

check_ports() {
  local number client controller internal port
  while read -r number client controller internal; do
    for port in "$client" "$controller" "$internal"; do
      ! is_taken "$port" ||
        die "port $port of 127.0.0.1 is taken by another program; give another --port, or none at all"
    done
  done <"$dir/ports"
}

# Ports that nobody listens on, below those that the system hands to outgoing connections. Somebody may
# take one until the node does; `start` chooses again then.
choose_ports() {
  local count=$((3 * nodes)) lowest=10000 highest first port
  read -r highest _ </proc/sys/net/ipv4/ip_local_port_range
  [ "$highest" -ge 12000 ] || highest=32768
  while :; do
    first=$((lowest + (RANDOM * 32768 + RANDOM) % (highest - lowest - count)))
    for port in $(seq "$first" $((first + count - 1))); do
      ! is_taken "$port" || continue 2
    done
    write_ports "$first"
    return
  done
}

# --- settings ---

write_settings() {
  local number client controller internal voters kind=one
  voters=$(awk '{ printf "%s%s@127.0.0.1:%s", (NR > 1 ? "," : ""), $1, $3 }' "$dir/ports")
  [ "$nodes" = 1 ] || kind=three
  while read -r number client controller internal; do
    mkdir -p "$dir/node-$number"
    {
      sed -e "s|@node@|$number|g; s|@dir@|$dir|g; s|@voters@|$voters|g; s|@protocol@|${security^^}|g" \
        -e "s|@client_port@|$client|g; s|@controller_port@|$controller|g" \
        -e "s|@internal_port@|$internal|g" "$here/server.properties"
      cat "$here/server-$kind.properties" "$dir/security.properties"
      [ ${#settings[@]} = 0 ] || printf '%s\n' "${settings[@]}"
    } >"$dir/node-$number/server.properties"
  done <"$dir/ports"
  {
    echo "bootstrap.servers=$(bootstrap)"
    cat "$dir/secrets.properties"
  } >"$dir/client.properties"
}

# Marks the folder of a node as belonging to this cluster; done once in its life.
format() {
  local home=$dir/node-$1
  [ ! -e "$home/data/meta.properties" ] || return 0
  "${java_line[@]}" -Xmx64m kafka.tools.StorageTool format --cluster-id "$(value id)" \
    --config "$home/server.properties" >"$home/format.log" 2>&1 9>&- ||
    die "the storage of node $1 could not be formatted: $(head -n 5 "$home/format.log")"
}

# --- security ---

# Writes what the nodes (security.properties) and the clients (secrets.properties) need of it.
make_secrets() {
  {
    echo "security.protocol=${security^^}"
    case $security in
      sasl_plaintext) make_user ;;
      ssl) make_certificates ;;
    esac
  } >"$dir/secrets.properties"
  case $security in
    plaintext) : ;;
    sasl_plaintext)
      echo "sasl.enabled.mechanisms=PLAIN"
      echo "listener.name.client.plain.sasl.jaas.config=$plain_login required user_$user=\"$password\";"
      ;;
    ssl)
      echo "listener.name.client.ssl.keystore.type=PEM"
      echo "listener.name.client.ssl.keystore.location=$dir/server.pem"
      ;;
  esac >"$dir/security.properties"
}

plain_login=org.apache.kafka.common.security.plain.PlainLoginModule

make_user() {
  user=${SLOTLINE_KAFKA_USER:-slotline}
  password=${SLOTLINE_KAFKA_PASSWORD:-$(random 16 | od -An -tx1 | tr -d ' \n')}
  [[ $user$password =~ ^[a-zA-Z0-9._-]+$ ]] ||
    die "SLOTLINE_KAFKA_USER and SLOTLINE_KAFKA_PASSWORD take letters, digits, dots and dashes only"
  echo "sasl.mechanism=PLAIN"
  echo "sasl.username=$user"
  echo "sasl.password=$password"
  echo "sasl.jaas.config=$plain_login required username=\"$user\" password=\"$password\";"
}

# An authority for this folder alone, and one certificate for all nodes. The authority's key is thrown
# away: nobody can make a second certificate that a client of this cluster would trust.
make_certificates() {
  command -v openssl >/dev/null || die "openssl makes the certificates and is missing; see scripts/setup"
  local curve=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  {
    openssl req -x509 "${curve[@]}" -days 3650 -subj "/CN=Slotline development" \
      -keyout "$dir/ca-key.pem" -out "$dir/ca.pem"
    openssl req "${curve[@]}" -subj "/CN=localhost" -keyout "$dir/server.pem" -out "$dir/request.pem"
    openssl x509 -req -in "$dir/request.pem" -CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem" -days 3650 \
      -set_serial "0x$(random 8 | od -An -tx1 | tr -d ' \n')" \
      -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") >"$dir/certificate.pem"
  } 2>"$dir/certificates.log" >&2 || die "openssl failed: $(cat "$dir/certificates.log")"
  cat "$dir/certificate.pem" >>"$dir/server.pem"
  rm "$dir/ca-key.pem" "$dir/request.pem" "$dir/certificate.pem"
  echo "ssl.ca.location=$dir/ca.pem"
  echo "ssl.truststore.type=PEM"
  echo "ssl.truststore.location=$dir/ca.pem"
}
