#!/usr/bin/env bash
# Real HBase servers as plain processes. Everything of a cluster lies in $WORK/NAME.
#  hbase.sh start NAME VERSION PORTBASE [K=V ...]     one JVM: ZooKeeper + master + one region server
#  hbase.sh dist  NAME VERSION PORTBASE NRS [K=V ...] separate JVMs: zk, master, rs1..rsN
#  hbase.sh wait NAME [SECONDS]                       until tables can be created
#  hbase.sh proc NAME zk|master|rsN                   start that process again (after a kill)
#  hbase.sh kill NAME zk|master|rsN|all               SIGKILL
#  hbase.sh stop NAME                                 SIGTERM, SIGKILL after $GRACE (10) s
#  hbase.sh sh NAME ['cmd; cmd']                      Hsh, a small shell (commands from stdin without the 2nd)
#  hbase.sh java NAME CLASS [ARGS]                    a tool of HBase, with the cluster's configuration
#  hbase.sh cds VERSION                               make a class-data archive: later starts are faster
#  hbase.sh ps NAME                                   processes, RSS
# Ports: PORTBASE master, +1 ZooKeeper, +10+i region server i. ROOTDIR=uri for a root directory elsewhere (hdfs://..).
set -u; . "$(dirname "$0")/lib.sh"

# fs.file.impl: the checksummed local file system keeps the last bytes of a write-ahead log in the process; the raw one
# gives every flush to the kernel, so a killed region server loses no row that it has acknowledged.
# What makes it small and quick. Later K=V arguments win.
TUNE="hbase.master.wait.on.regionservers.interval=50 hbase.master.wait.on.regionservers.timeout=100
 hbase.regionserver.msginterval=200 hbase.server.thread.wakefrequency=500
 hbase.procedure.remote.dispatcher.delay.msec=10 hbase.procedure.remote.dispatcher.threadpool.size=4 hbase.master.procedure.threads=4
 hbase.regionserver.handler.count=8 hbase.regionserver.metahandler.count=4 hbase.wal.provider=filesystem
 hbase.hregion.memstore.mslab.enabled=false hfile.block.cache.size=0.1 hbase.client.pause=50
 hbase.master.info.port=-1 hbase.regionserver.info.port=-1"
# ZooKeeper grants sessions as long as they are asked for (its own limit is 20 ticks): zookeeper.session.timeout counts.
# Separate processes: the master waits 8 s for all its servers; a killed one is noticed after the session timeout.
DIST="hbase.master.wait.on.regionservers.timeout=8000 zookeeper.session.timeout=8000 hbase.lease.recovery.first.pause=500 hbase.lease.recovery.pause=500"

conf() { # conf NAME PORTBASE distributed|standalone [K=V...]
  local d=$WORK/$1 pb=$2 mode=$3 nrs=$4; shift 4; mkdir -p "$d/conf" "$d/zk"
  { echo '<configuration>'
    props hbase.rootdir="${ROOTDIR:-file://$d/data}" hbase.tmp.dir="$d/tmp" hbase.cluster.distributed=$([ $mode = dist ] && echo true || echo false) $([ $mode = dist ] || echo zookeeper.recovery.retry=1 zookeeper.recovery.retry.intervalmill=50) \
      hbase.unsafe.stream.capability.enforce=false fs.file.impl=org.apache.hadoop.fs.RawLocalFileSystem hbase.localcluster.assign.random.ports=false \
      hbase.zookeeper.quorum=127.0.0.1 hbase.zookeeper.property.clientPort=$((pb + 1)) hbase.zookeeper.property.dataDir="$d/zk" \
      hbase.master.port=$pb hbase.regionserver.port=$((pb + 11)) \
      hbase.master.hostname=localhost hbase.regionserver.hostname=localhost hbase.master.ipc.address=127.0.0.1 hbase.regionserver.ipc.address=127.0.0.1 \
      hbase.master.wait.on.regionservers.mintostart=1 hbase.master.wait.on.regionservers.maxtostart=$nrs $TUNE $([ $mode = dist ] && echo $DIST) "$@"
    echo '</configuration>'; } >"$d/conf/hbase-site.xml"
  [ -z "${CORE:-}" ] || { echo '<configuration>'; props $CORE; echo '</configuration>'; } >"$d/conf/core-site.xml"
  log4j "$d/conf/log4j.properties" INFO
  log4j "$d/conf/log4j-client.properties" ERROR   # plus what the tools say
  for l in mapreduce.Job hbase.mapreduce hbase.tool hbase.snapshot hbase.PerformanceEvaluation hbase.util.LoadTestTool; do echo "log4j.logger.org.apache.hadoop.$l=INFO"; done >>"$d/conf/log4j-client.properties"
}
server() { # server NAME PROC CLASS ARGS...
  local d=$WORK/$1 p=$2 v; shift 2; v=$(cat "$d/version")
  local cds; cds=$(cds_file "$v"); [ -s "$cds" ] && cds="-XX:SharedArchiveFile=$cds" || cds=
  # the conf directory comes last: a class-data archive needs its class path to be a prefix of this one
  spawn "$d" "$p" "$JAVA" -Xmx$HEAP $JVM_FAST $cds $OPENS -Djava.net.preferIPv4Stack=true ${JVM_EXTRA:-} -Dlog4j.configuration="file:$d/conf/log4j.properties" -cp "$(classpath "$v"):$d/conf" "$@"
}
proc() { # proc NAME PROC
  local d=$WORK/$1 pb; pb=$(cat "$d/portbase")
  case $2 in
    zk) printf 'tickTime=500\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nmaxSessionTimeout=180000\nadmin.enableServer=false\n4lw.commands.whitelist=*\n' "$d/zk" $((pb + 1)) >"$d/conf/zoo.cfg"
        JVM_EXTRA="${JVM_EXTRA:-} -Dzookeeper.jmx.log4j.disable=true" server "$1" zk org.apache.zookeeper.server.ZooKeeperServerMain "$d/conf/zoo.cfg";;
    master) server "$1" master org.apache.hadoop.hbase.master.HMaster start;;
    rs*) server "$1" "$2" org.apache.hadoop.hbase.regionserver.HRegionServer -Dhbase.regionserver.port=$((pb + 10 + ${2#rs})) start;;
    *) die "no process $2";;
  esac
}
run_java() { local d=$WORK/$1 v; v=$(cat "$d/version"); shift; exec "$JAVA" -Xmx${CLIENT_HEAP:-256m} $JVM_FAST $OPENS -Djava.net.preferIPv4Stack=true ${JVM_EXTRA:-} -Dlog4j.configuration="file:$d/conf/log4j-client.properties" -cp "$(hsh_classes "$v"):$d/conf:$(classpath "$v")" "$@"; }

cmd=${1:-}; [ $# -ge 2 ] || { sed -n '2,13p' "$0"; exit 2; }; n=$2; d=$WORK/$n; shift 2
case $cmd in
  start) v=$1 pb=$2; shift 2; conf "$n" "$pb" standalone 1 "$@"; echo "$v" >"$d/version"; echo "$pb" >"$d/portbase"; server "$n" master org.apache.hadoop.hbase.master.HMaster start;;
  dist) v=$1 pb=$2 nrs=$3; shift 3; conf "$n" "$pb" dist "$nrs" "$@"; echo "$v" >"$d/version"; echo "$pb" >"$d/portbase"
    proc "$n" zk; proc "$n" master; for i in $(seq "$nrs"); do proc "$n" rs$i; done;;
  proc) proc "$n" "$1";;
  wait) wait_log "$d/master.log" "$d/master.pid" "Master has completed initialization" "${1:-90}";;
  kill) if [ "$1" = all ]; then for f in "$d"/*.pid; do halt "$f" KILL; done; else halt "$d/$1.pid" KILL; fi;;
  stop) for p in $(ls "$d" | grep -E '^rs[0-9]+\.pid$') master.pid zk.pid; do [ -e "$d/$p" ] && { [ $p = zk.pid ] && halt "$d/$p" KILL || halt "$d/$p"; } ; done; true;;
  sh) run_java "$n" Hsh "127.0.0.1:$(($(cat "$d/portbase") + 1))$(sed -n 's#.*zookeeper.znode.parent</name><value>\([^<]*\).*#:\1#p' "$d/conf/hbase-site.xml" | tail -n 1)" "$@";;
  java) run_java "$n" "$@";;
  ps) for f in "$d"/*.pid; do alive "$f" && echo "$(basename "$f" .pid) pid=$(cat "$f") rss_mb=$(($(ps -o rss= -p "$(cat "$f")") / 1024)) threads=$(ps -o nlwp= -p "$(cat "$f")")"; done; true;;
  cds) # the archive is made from a cluster that takes its configuration by -conf: no directory may be on the class path then
    v=$n; t=cds-tmp-$$; d=$WORK/$t; f=$(cds_file "$v"); mkdir -p "$CACHE/cds" "$d"; rm -f "$f"; pb=${PB:-16990}; conf "$t" "$pb" standalone 1; echo "$v" >"$d/version"; echo "$pb" >"$d/portbase"
    spawn "$d" master "$JAVA" -Xmx$HEAP $JVM_FAST -XX:+RecordDynamicDumpInfo $OPENS -Djava.net.preferIPv4Stack=true -Dlog4j.configuration="file:$d/conf/log4j.properties" -cp "$(classpath "$v")" org.apache.hadoop.hbase.master.HMaster -conf "$d/conf/hbase-site.xml" start
    wait_log "$d/master.log" "$d/master.pid" "Master has completed initialization" 120
    (run_java "$t" Hsh 127.0.0.1:$((pb + 1)) 'create t f splits=m; put t a f:q v; flush t; scan t; drop t' >/dev/null 2>&1)
    jcmd "$(cat "$d/master.pid")" VM.cds dynamic_dump "$f" >"$d/dump.log" 2>&1; halt "$d/master.pid" KILL; rm -rf "$d"; [ -s "$f" ] || die "no archive";;
  *) die "what is '$cmd'?";;
esac
