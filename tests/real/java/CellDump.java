// Every cell of a table as HBase's Java client reads it, newest versions: `CellDump zk=HOST:PORT TABLE` prints rows, cells
// and a SHA-256 over lines `row family:qualifier timestamp value` (hexadecimal), in scan order. Runs on 1.x and 2.x.
import java.security.MessageDigest;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.*;
import org.apache.hadoop.hbase.client.*;

public class CellDump {
  static String hex(byte[] bytes) { StringBuilder text = new StringBuilder(); for (byte x : bytes) text.append(String.format("%02x", x)); return text.toString(); }

  public static void main(String[] args) throws Exception {
    Configuration conf = HBaseConfiguration.create();
    String[] place = args[0].substring(args[0].indexOf('=') + 1).split(":");
    conf.set("hbase.client.registry.impl", "org.apache.hadoop.hbase.client.ZKConnectionRegistry");
    if (conf.get("hbase.client.registry.impl") != null) try { Class.forName(conf.get("hbase.client.registry.impl")); } catch (ClassNotFoundException e) { conf.unset("hbase.client.registry.impl"); }
    conf.set("hbase.zookeeper.quorum", place[0]);
    conf.set("hbase.zookeeper.property.clientPort", place[1]);
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    long rows = 0, cells = 0;
    Scan scan = new Scan(); scan.setCaching(1000);
    try (Connection connection = ConnectionFactory.createConnection(conf); Table table = connection.getTable(TableName.valueOf(args[1])); ResultScanner scanner = table.getScanner(scan)) {
      for (Result row : scanner) {
        rows++;
        for (Cell cell : row.rawCells()) {
          cells++;
          digest.update((hex(CellUtil.cloneRow(cell)) + " " + hex(CellUtil.cloneFamily(cell)) + ":" + hex(CellUtil.cloneQualifier(cell)) + " " + cell.getTimestamp() + " " + hex(CellUtil.cloneValue(cell)) + "\n").getBytes("US-ASCII"));
        }
      }
    }
    System.out.println("rows " + rows + " cells " + cells + " sha256 " + hex(digest.digest()));
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }
}
