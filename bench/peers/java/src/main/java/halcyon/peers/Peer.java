package halcyon.peers;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.HBaseConfiguration;
import org.apache.hadoop.hbase.TableName;
import org.apache.hadoop.hbase.client.AsyncBufferedMutator;
import org.apache.hadoop.hbase.client.AsyncConnection;
import org.apache.hadoop.hbase.client.BufferedMutator;
import org.apache.hadoop.hbase.client.BufferedMutatorParams;
import org.apache.hadoop.hbase.client.Connection;
import org.apache.hadoop.hbase.client.ConnectionFactory;
import org.apache.hadoop.hbase.client.Result;
import org.apache.hadoop.hbase.client.ResultScanner;
import org.apache.hadoop.hbase.client.Scan;
import org.apache.hadoop.hbase.client.Table;

/**
 * HBase's own client on the rows of the benchmark.
 *
 * <pre>
 * rows     N                                 build the rows and throw them away
 * write    QUORUM TABLE N THREADS            BufferedMutator, one for each thread
 * async    QUORUM TABLE N ROWS_IN_FLIGHT     AsyncBufferedMutator, bounded by a semaphore
 * scan     QUORUM TABLE                      the whole table
 * prefetch QUORUM TABLE                      the same with asynchronous prefetch
 * </pre>
 */
public final class Peer {
  /** The client's default write buffer, and the cheapest of 1..32 MiB when that was tried. */
  private static final long WRITE_BUFFER = 2 << 20;
  private static final long ANSWER_BYTES = 2 << 20;
  private static final int ANSWER_ROWS = 5000;

  public static void main(String[] args) throws Exception {
    switch (args[0]) {
      case "rows" -> rows(Long.parseLong(args[1]));
      case "write" -> write(args, Integer.parseInt(args[4]));
      case "async" -> async(args, Integer.parseInt(args[4]));
      case "scan" -> scan(args, false);
      case "prefetch" -> scan(args, true);
      default -> throw new IllegalArgumentException(args[0]);
    }
  }

  private static Configuration configuration(String quorum) {
    int colon = quorum.lastIndexOf(':');
    Configuration configuration = HBaseConfiguration.create();
    configuration.set("hbase.zookeeper.quorum", quorum.substring(0, colon));
    configuration.set("hbase.zookeeper.property.clientPort", quorum.substring(colon + 1));
    return configuration;
  }

  private static void rows(long count) {
    Rows rows = new Rows();
    long cells = 0;
    for (long n = 0; n < count; n++) {
      cells += rows.row(n).size();
    }
    System.out.println("rows=" + count + " cells=" + cells);
  }

  private static void write(String[] args, int threads) throws Exception {
    long count = Long.parseLong(args[3]);
    Rows rows = new Rows();
    AtomicReference<Exception> failure = new AtomicReference<>();
    try (Connection connection = ConnectionFactory.createConnection(configuration(args[1]))) {
      BufferedMutatorParams params = new BufferedMutatorParams(TableName.valueOf(args[2])).writeBufferSize(WRITE_BUFFER);
      Thread[] writers = new Thread[threads];
      for (int i = 0; i < threads; i++) {
        long from = count * i / threads;
        long to = count * (i + 1) / threads;
        writers[i] = new Thread(() -> {
          try (BufferedMutator mutator = connection.getBufferedMutator(params)) {
            for (long n = from; n < to; n++) {
              mutator.mutate(rows.row(n));
            }
          } catch (Exception e) {
            failure.set(e);
          }
        });
        writers[i].start();
      }
      for (Thread writer : writers) {
        writer.join();
      }
    }
    if (failure.get() != null) {
      throw failure.get();
    }
  }

  private static void async(String[] args, int inFlight) throws Exception {
    long count = Long.parseLong(args[3]);
    Rows rows = new Rows();
    Semaphore permits = new Semaphore(inFlight);
    AtomicReference<Throwable> failure = new AtomicReference<>();
    try (AsyncConnection connection = ConnectionFactory.createAsyncConnection(configuration(args[1])).get();
        AsyncBufferedMutator mutator = connection.getBufferedMutatorBuilder(TableName.valueOf(args[2]))
            .setWriteBufferSize(WRITE_BUFFER).setWriteBufferPeriodicFlush(50, TimeUnit.MILLISECONDS).build()) {
      for (long n = 0; n < count; n++) {
        permits.acquire();
        mutator.mutate(rows.row(n)).whenComplete((done, error) -> {
          permits.release();
          if (error != null) {
            failure.set(error);
          }
        });
      }
      mutator.flush();
      permits.acquire(inFlight);
    }
    if (failure.get() != null) {
      throw new ExecutionException(failure.get());
    }
  }

  private static void scan(String[] args, boolean prefetch) throws Exception {
    Digest digest = new Digest();
    Scan scan = new Scan().setCaching(ANSWER_ROWS).setMaxResultSize(ANSWER_BYTES).setCacheBlocks(false).setAsyncPrefetch(prefetch);
    try (Connection connection = ConnectionFactory.createConnection(configuration(args[1]));
        Table table = connection.getTable(TableName.valueOf(args[2]));
        ResultScanner scanner = table.getScanner(scan)) {
      for (Result row : scanner) {
        digest.add(row);
      }
    }
    System.out.println(digest);
  }
}
