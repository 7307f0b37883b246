package halcyon.apps;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.hadoop.hbase.client.Put;
import org.apache.hadoop.hbase.util.Bytes;

/** Chat events as rows: the model of topology/stack.toml by hand. */
final class Events {
  private static final ObjectReader READER = new ObjectMapper().readerFor(Event.class);
  private static final byte[] FAMILY = utf8("m");
  private static final byte[] ACCOUNT = utf8("account");
  private static final byte[] BODY = utf8("body");
  private static final byte[] MESSAGE = utf8("message");
  private static final byte[] ROOM = utf8("room");
  private static final byte[] SENT_AT = utf8("sent_at");
  private static final byte[] TYPE = utf8("type");
  private static final byte[] DELETED = utf8("_deleted");
  private static final byte[] YES = {1};
  private static final byte[] EMPTY = {};

  /** Bound by Jackson. */
  static final class Event {
    @JsonProperty("message_id") public long message;
    @JsonProperty("room_id") public long room;
    @JsonProperty("account_id") public long account;
    @JsonProperty("type") public String type;
    @JsonProperty("body") public String body;
    @JsonProperty("version") public long version;
    @JsonProperty("sent_at") public long sentAt;
  }

  private Events() {}

  static Put row(byte[] json) throws IOException {
    Event event = READER.readValue(json);
    byte[] key = new byte[17];
    key[0] = (byte) (mix(event.room) >>> 60);
    Bytes.putLong(key, 1, event.room);
    Bytes.putLong(key, 9, ~event.message);
    boolean gone = event.type.equals("deleted");
    Put put = new Put(key, event.version);
    put.addColumn(FAMILY, ACCOUNT, gone ? EMPTY : Bytes.toBytes(event.account));
    put.addColumn(FAMILY, BODY, gone ? EMPTY : utf8(event.body));
    put.addColumn(FAMILY, MESSAGE, gone ? EMPTY : Bytes.toBytes(event.message));
    put.addColumn(FAMILY, ROOM, gone ? EMPTY : Bytes.toBytes(event.room));
    put.addColumn(FAMILY, SENT_AT, gone ? EMPTY : Bytes.toBytes(event.sentAt));
    put.addColumn(FAMILY, TYPE, gone ? EMPTY : utf8(event.type));
    if (gone) {
      put.addColumn(FAMILY, DELETED, YES);
    }
    return put;
  }

  /** The output function of splitmix64. */
  private static long mix(long n) {
    long z = n + 0x9E3779B97F4A7C15L;
    z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
    z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
    return z ^ z >>> 31;
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
