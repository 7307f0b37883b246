package halcyon.peers;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import org.apache.hadoop.hbase.Cell;
import org.apache.hadoop.hbase.client.Result;

/** The sum of a hash of every cell; the same as bench/src/client/digest.rs computes. */
final class Digest {
  static final long GOLDEN = 0x9E3779B97F4A7C15L;
  private static final VarHandle WORD = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private long rows;
  private long cells;
  private long sum;

  void add(Result row) {
    rows++;
    for (Cell cell : row.rawCells()) {
      long hash = absorb(0, cell.getRowArray(), cell.getRowOffset(), cell.getRowLength());
      hash = absorb(hash, cell.getQualifierArray(), cell.getQualifierOffset(), cell.getQualifierLength());
      hash = step(hash, cell.getTimestamp());
      sum += absorb(hash, cell.getValueArray(), cell.getValueOffset(), cell.getValueLength());
      cells++;
    }
  }

  private static long step(long hash, long word) {
    return Long.rotateLeft((hash ^ word) * GOLDEN, 29);
  }

  private static long absorb(long hash, byte[] bytes, int offset, int length) {
    hash = (hash ^ length) * GOLDEN;
    int end = offset + length;
    for (; offset + 8 <= end; offset += 8) {
      hash = step(hash, (long) WORD.get(bytes, offset));
    }
    if (offset < end) {
      long last = 0;
      for (int shift = 0; offset < end; offset++, shift += 8) {
        last |= (bytes[offset] & 0xFFL) << shift;
      }
      hash = step(hash, last);
    }
    return hash;
  }

  @Override
  public String toString() {
    return String.format("rows=%d cells=%d digest=%016x", rows, cells, sum);
  }
}
