// Cell blocks as HBase's codec writes them, plain and as Hadoop's codecs compress them: `NAME HEX` a line. A run of more
// than 64 equal bytes is written as `XX*N ` between blanks.
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.util.*;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.*;
import org.apache.hadoop.hbase.codec.*;
import org.apache.hadoop.hbase.util.Bytes;
import org.apache.hadoop.io.compress.*;
import org.apache.hadoop.util.ReflectionUtils;

public class CellBlocks {
  static final Configuration CONF = new Configuration();

  static byte[] b(String text) { return Bytes.toBytes(text); }

  static byte[] run(char letter, int length) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) letter);
    return bytes;
  }

  static Cell put(byte[] row, byte[] family, byte[] qualifier, long version, byte[] value) {
    return new KeyValue(row, family, qualifier, version, KeyValue.Type.Put, value);
  }

  static byte[] encoded(List<Cell> cells, String codec) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    OutputStream out = bytes;
    Compressor compressor = null;
    if (codec != null) {
      // As CellBlockBuilder does it.
      CompressionCodec found = (CompressionCodec) ReflectionUtils.newInstance(Class.forName(codec), CONF);
      compressor = CodecPool.getCompressor(found);
      out = found.createOutputStream(bytes, compressor);
    }
    Codec.Encoder encoder = new KeyValueCodec().getEncoder(out);
    for (Cell cell : cells) encoder.write(cell);
    encoder.flush();
    out.close();
    if (compressor != null) CodecPool.returnCompressor(compressor);
    return bytes.toByteArray();
  }

  static void print(String name, byte[] bytes, boolean isShortened) {
    StringBuilder text = new StringBuilder(name).append(' ');
    for (int at = 0; at < bytes.length; ) {
      int end = at;
      while (end < bytes.length && bytes[end] == bytes[at]) end++;
      if (isShortened && end - at > 64) {
        text.append(String.format(" %02x*%d ", bytes[at], end - at));
        at = end;
      } else text.append(String.format("%02x", bytes[at++]));
    }
    System.out.println(text);
  }

  public static void main(String[] args) throws Exception {
    byte[] r = b("r"), f = b("f"), q = b("q"), none = new byte[0];
    List<Cell> kinds = new ArrayList<>();
    KeyValue.Type[] types = { KeyValue.Type.Put, KeyValue.Type.Delete, KeyValue.Type.DeleteFamilyVersion, KeyValue.Type.DeleteColumn, KeyValue.Type.DeleteFamily };
    for (int i = 0; i < types.length; i++) kinds.add(new KeyValue(r, f, types[i] == KeyValue.Type.DeleteFamily || types[i] == KeyValue.Type.DeleteFamilyVersion ? none : q, i + 1, types[i], i == 0 ? b("v") : none));
    print("all_kinds", encoded(kinds, null), false);
    print("edges", encoded(Arrays.asList(
        put(r, f, none, 0, none),
        put(r, f, q, HConstants.LATEST_TIMESTAMP, b("latest")),
        put(new byte[] { 0, -1, 10 }, f, new byte[] { 0, -1 }, 1, new byte[] { 0, -1, 10 }),
        put(r, run('f', Byte.MAX_VALUE), q, 1, b("longest family")),
        put(r, f, run('q', 300), 1, b("qualifier of more than a byte's length"))), null), false);
    print("longest_row", encoded(Collections.singletonList(put(run('r', Short.MAX_VALUE), f, q, 1, b("v"))), null), true);
    print("nothing", encoded(Collections.<Cell>emptyList(), null), false);

    // Small cells, then one that is larger than a block of Hadoop's codecs (256 KiB).
    List<Cell> cells = new ArrayList<>();
    for (int i = 0; i < 20; i++) cells.add(put(b(String.format("r%05d", i)), f, q, i, b("value " + i)));
    cells.add(put(b("s"), f, q, 1, run('v', 300000)));
    String[][] codecs = { { "snappy", "SnappyCodec" }, { "lz4", "Lz4Codec" }, { "gzip", "GzipCodec" }, { "deflate", "DefaultCodec" } };
    for (String[] codec : codecs) {
      try {
        print("compressed_" + codec[0], encoded(cells, "org.apache.hadoop.io.compress." + codec[1]), false);
      } catch (Throwable error) {
        System.err.println(codec[0] + ": " + error);
      }
    }
  }
}
