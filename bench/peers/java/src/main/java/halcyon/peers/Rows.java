package halcyon.peers;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.hadoop.hbase.client.Put;
import org.apache.hadoop.hbase.util.Bytes;

/** Row number n, made from n alone: the same bytes as bench/src/client/rows.rs makes. */
final class Rows {
  static final byte[] FAMILY = ascii("m");
  private static final byte[] ACCOUNT = ascii("account");
  private static final byte[] BODY = ascii("body");
  private static final byte[] DELETED = ascii("deleted");
  private static final byte[] SENT_AT = ascii("sent_at");
  private static final byte[] TYPE = ascii("type");
  private static final byte[] VERSION = ascii("version");
  private static final byte[] POSTED = ascii("posted");
  private static final byte[] NO = {0};
  private static final int POOL_BYTES = 1 << 20;
  private static final int BODY_MIN = 120;
  private static final int BODY_SPREAD = 161;

  private final byte[] text = new byte[POOL_BYTES + BODY_MIN + BODY_SPREAD];

  Rows() {
    for (int i = 0; i < text.length; i++) {
      long random = mix(i);
      text[i] = (random & 7) == 0 ? (byte) ' ' : (byte) ('a' + Long.remainderUnsigned(random >>> 8, 26));
    }
  }

  Put row(long n) {
    long random = mix(n);
    long room = mix(Long.remainderUnsigned(random, 20_000)) >>> 32;
    byte[] key = new byte[17];
    key[0] = (byte) (mix(room) >>> 60);
    Bytes.putLong(key, 1, room);
    Bytes.putLong(key, 9, ~((1L << 52) + n));
    long version = 1_760_000_000_000L + n;
    int start = (int) (random >>> 40) & (POOL_BYTES - 1);
    int length = BODY_MIN + (int) Long.remainderUnsigned(random >>> 17, BODY_SPREAD);
    Put put = new Put(key, version);
    put.addColumn(FAMILY, ACCOUNT, version, Bytes.toBytes(1 + Long.remainderUnsigned(random >>> 5, 200_000)));
    put.addColumn(FAMILY, BODY, version, Arrays.copyOfRange(text, start, start + length));
    put.addColumn(FAMILY, DELETED, version, NO);
    put.addColumn(FAMILY, SENT_AT, version, Bytes.toBytes(version));
    put.addColumn(FAMILY, TYPE, version, POSTED);
    put.addColumn(FAMILY, VERSION, version, Bytes.toBytes(version));
    return put;
  }

  /** The output function of splitmix64. */
  private static long mix(long n) {
    long z = n + Digest.GOLDEN;
    z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
    z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
    return z ^ z >>> 31;
  }

  private static byte[] ascii(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }
}
