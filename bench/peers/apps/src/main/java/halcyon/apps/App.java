package halcyon.apps;

import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.HBaseConfiguration;
import org.apache.hadoop.hbase.TableName;
import org.apache.hadoop.hbase.client.BufferedMutator;
import org.apache.hadoop.hbase.client.BufferedMutatorParams;
import org.apache.hadoop.hbase.client.Connection;
import org.apache.hadoop.hbase.client.ConnectionFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.Record;

/**
 * The same read model as a plain consumer and as a Kafka Streams application.
 *
 * <pre>
 * plain|streams BROKERS TOPIC EVENTS THREADS QUORUM TABLE
 * </pre>
 *
 * Both end when so many events were seen, their rows flushed and their offsets committed.
 */
public final class App {
  /** The cheapest of 1..32 MiB when that was tried; the client's default. */
  private static final long WRITE_BUFFER = 2 << 20;
  private static final int POLL_RECORDS = 5000;
  private static final long COMMIT_MS = 5000;

  private static final LongAdder SEEN = new LongAdder();

  public static void main(String[] args) throws Exception {
    String quorum = args[5];
    int colon = quorum.lastIndexOf(':');
    Configuration configuration = HBaseConfiguration.create();
    configuration.set("hbase.zookeeper.quorum", quorum.substring(0, colon));
    configuration.set("hbase.zookeeper.property.clientPort", quorum.substring(colon + 1));
    BufferedMutatorParams params = new BufferedMutatorParams(TableName.valueOf(args[6])).writeBufferSize(WRITE_BUFFER);
    try (Connection connection = ConnectionFactory.createConnection(configuration)) {
      switch (args[0]) {
        case "plain" -> plain(args, connection, params);
        case "streams" -> streams(args, connection, params);
        default -> throw new IllegalArgumentException(args[0]);
      }
    }
    System.out.println("events=" + SEEN.sum());
  }

  private static Properties consumer(String[] args) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[1]);
    properties.put("group.id", args[6]);
    properties.put("auto.offset.reset", "earliest");
    properties.put("enable.auto.commit", "false");
    properties.put("max.poll.records", Integer.toString(POLL_RECORDS));
    return properties;
  }

  /** A consumer and a mutator for each thread: flush, then commit. */
  private static void plain(String[] args, Connection connection, BufferedMutatorParams params) throws Exception {
    long expected = Long.parseLong(args[3]);
    AtomicReference<Exception> failure = new AtomicReference<>();
    Thread[] threads = new Thread[Integer.parseInt(args[4])];
    for (int i = 0; i < threads.length; i++) {
      threads[i] = new Thread(() -> {
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(consumer(args), bytes, bytes);
            BufferedMutator mutator = connection.getBufferedMutator(params)) {
          consumer.subscribe(List.of(args[2]));
          long committed = System.nanoTime();
          while (SEEN.sum() < expected && failure.get() == null) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
            for (ConsumerRecord<byte[], byte[]> record : records) {
              mutator.mutate(Events.row(record.value()));
            }
            SEEN.add(records.count());
            if (System.nanoTime() - committed > TimeUnit.MILLISECONDS.toNanos(COMMIT_MS)) {
              mutator.flush();
              consumer.commitSync();
              committed = System.nanoTime();
            }
          }
          mutator.flush();
          consumer.commitSync();
        } catch (Exception e) {
          failure.set(e);
        }
      });
      threads[i].start();
    }
    for (Thread thread : threads) {
      thread.join();
    }
    if (failure.get() != null) {
      throw failure.get();
    }
  }

  /**
   * Rows of a task leave when its mutator is full, every COMMIT_MS, and when it is closed. Streams has no public hook before a
   * commit: killed in between, rows may be lost. It costs less than flushing before each commit.
   */
  private static final class Model implements Processor<byte[], byte[], Void, Void> {
    private final BufferedMutator mutator;
    private long flushed = System.nanoTime();

    Model(Connection connection, BufferedMutatorParams params) {
      try {
        mutator = connection.getBufferedMutator(params);
      } catch (IOException e) {
        throw new IllegalStateException("open the mutator", e);
      }
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      try {
        mutator.mutate(Events.row(record.value()));
        if (System.nanoTime() - flushed > TimeUnit.MILLISECONDS.toNanos(COMMIT_MS)) {
          mutator.flush();
          flushed = System.nanoTime();
        }
      } catch (IOException e) {
        throw new IllegalStateException("write a row", e);
      }
      SEEN.increment();
    }

    @Override
    public void close() {
      try {
        mutator.close();
      } catch (IOException e) {
        throw new IllegalStateException("close the mutator", e);
      }
    }
  }

  private static void streams(String[] args, Connection connection, BufferedMutatorParams params) throws Exception {
    long expected = Long.parseLong(args[3]);
    ByteArrayDeserializer bytes = new ByteArrayDeserializer();
    Topology topology = new Topology();
    topology.addSource("events", bytes, bytes, args[2]);
    topology.addProcessor("rows", () -> new Model(connection, params), "events");
    Properties properties = new Properties();
    properties.putAll(Map.of(
        StreamsConfig.APPLICATION_ID_CONFIG, args[6],
        StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[1],
        StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[4],
        StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Long.toString(COMMIT_MS),
        StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("streams").toString(),
        StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest",
        StreamsConfig.consumerPrefix("max.poll.records"), Integer.toString(POLL_RECORDS)));
    AtomicReference<Throwable> failure = new AtomicReference<>();
    try (KafkaStreams streams = new KafkaStreams(topology, properties)) {
      streams.setUncaughtExceptionHandler(error -> {
        failure.set(error);
        return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
      });
      streams.start();
      while (SEEN.sum() < expected && failure.get() == null) {
        Thread.sleep(20);
      }
      if (!streams.close(Duration.ofSeconds(60))) {
        throw new IllegalStateException("the application does not end");
      }
    }
    if (failure.get() != null) {
      throw new IllegalStateException("the application failed", failure.get());
    }
  }
}
