// What HBase's own Java client does on a cluster, checked step by step: `ClientProbe rpc=HOST:PORT|zk=HOST:PORT TABLE`.
// The same program must pass on a real cluster and on the one in process.
import java.util.*;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.*;
import org.apache.hadoop.hbase.client.*;
import org.apache.hadoop.hbase.filter.*;
import org.apache.hadoop.hbase.util.Bytes;

public class ClientProbe {
  static int passed;
  static final byte[] F = Bytes.toBytes("f");

  static byte[] b(String text) { return Bytes.toBytes(text); }

  static void same(String claim, Object wanted, Object found) {
    if (!Objects.equals(wanted, found)) {
      System.out.println("FAIL " + claim + ": wanted " + wanted + ", found " + found);
      System.out.flush();
      Runtime.getRuntime().halt(1);
    }
    passed++;
    System.out.println("PASS " + claim);
  }

  static String show(Result result) {
    StringBuilder text = new StringBuilder();
    if (!result.isEmpty()) for (Cell cell : result.rawCells())
      text.append(Bytes.toString(CellUtil.cloneQualifier(cell))).append('@').append(cell.getTimestamp()).append('=').append(Bytes.toString(CellUtil.cloneValue(cell))).append(' ');
    return text.toString().trim();
  }

  static String keys(Table table, Scan scan) throws Exception {
    StringBuilder text = new StringBuilder();
    try (ResultScanner scanner = table.getScanner(scan)) { for (Result row : scanner) text.append(Bytes.toString(row.getRow())).append(' '); }
    return text.toString().trim();
  }

  static Put put(String row, String qualifier, long version, String value) { return new Put(b(row)).addColumn(F, b(qualifier), version, b(value)); }

  public static void main(String[] args) throws Exception {
    Configuration conf = HBaseConfiguration.create();
    String[] place = args[0].split("=");
    if (place[0].equals("rpc")) {
      conf.set("hbase.client.registry.impl", "org.apache.hadoop.hbase.client.RpcConnectionRegistry");
      conf.set("hbase.client.bootstrap.servers", place[1]);
    } else {
      conf.set("hbase.client.registry.impl", "org.apache.hadoop.hbase.client.ZKConnectionRegistry");
      conf.set("hbase.zookeeper.quorum", place[1].split(":")[0]);
      conf.set("hbase.zookeeper.property.clientPort", place[1].split(":")[1]);
    }
    conf.setInt("hbase.client.retries.number", 5);
    TableName name = TableName.valueOf(args[1]);
    try (Connection connection = ConnectionFactory.createConnection(conf); Admin admin = connection.getAdmin()) {
      admin.createTable(TableDescriptorBuilder.newBuilder(name).setColumnFamily(ColumnFamilyDescriptorBuilder.newBuilder(F).setMaxVersions(3).build()).build(), new byte[][] { b("g"), b("p") });
      same("a table is made and available", true, admin.tableExists(name) && admin.isTableAvailable(name) && admin.isTableEnabled(name));
      same("its family is described", 3, admin.getDescriptor(name).getColumnFamily(F).getMaxVersions());
      same("it is listed", true, Arrays.asList(admin.listTableNames()).contains(name));
      try (RegionLocator locator = connection.getRegionLocator(name)) { same("it has three regions", 3, locator.getAllRegionLocations().size()); }
      try (Table table = connection.getTable(name)) {
        table.put(put("a", "q", 5, "five"));
        table.put(put("a", "q", 7, "seven"));
        table.put(put("a", "q", 6, "six"));
        same("the newest version is read", "q@7=seven", show(table.get(new Get(b("a")))));
        same("all versions are read", "q@7=seven q@6=six q@5=five", show(table.get(new Get(b("a")).readAllVersions())));
        same("a time range is obeyed", "q@6=six", show(table.get(new Get(b("a")).setTimeRange(6, 7))));
        same("a row that is not there is empty", true, table.get(new Get(b("nothing"))).isEmpty());
        same("existence is told", "true false", table.exists(new Get(b("a"))) + " " + table.exists(new Get(b("z"))));

        List<Row> batch = new ArrayList<>();
        for (String row : "h i q r".split(" ")) batch.add(put(row, "q", 1, row));
        batch.add(new Get(b("a")));
        Object[] results = new Object[batch.size()];
        table.batch(batch, results);
        same("a batch over regions answers each action", "q@7=seven", show((Result) results[4]));
        try (BufferedMutator mutator = connection.getBufferedMutator(name)) { for (int i = 0; i < 500; i++) mutator.mutate(put(String.format("m%03d", i), "q", 1, "v" + i)); }
        same("a scan sees every row in order", 505, keys(table, new Scan()).split(" ").length);
        same("a scan is bounded", "h i", keys(table, new Scan().withStartRow(b("g")).withStopRow(b("j"))));
        same("a scan goes backwards", "r q", keys(table, new Scan().setReversed(true).withStartRow(b("z")).withStopRow(b("n"))));
        same("a scan is limited", "a h i", keys(table, new Scan().setLimit(3)));
        same("a scan in small answers loses nothing", 505, keys(table, new Scan().setCaching(7).setMaxResultSize(200)).split(" ").length);

        table.delete(new Delete(b("a")).addColumn(F, b("q"), 6));
        same("one version is deleted", "q@7=seven q@5=five", show(table.get(new Get(b("a")).readAllVersions())));
        table.delete(new Delete(b("a")).addColumns(F, b("q"), 5));
        same("versions at or below are deleted", "q@7=seven", show(table.get(new Get(b("a")).readAllVersions())));
        table.delete(new Delete(b("a")).addFamily(F, 7));
        same("a family is deleted, also at the same version", true, table.get(new Get(b("a"))).isEmpty());
        table.put(put("a", "q", 6, "late"));
        same("a late value stays masked", true, table.get(new Get(b("a"))).isEmpty());
        table.put(put("a", "q", 8, "eight"));
        same("a newer value is seen", "q@8=eight", show(table.get(new Get(b("a")))));
        table.put(new Put(b("now")).addColumn(F, b("q"), b("x")));
        same("the server stamps what has no version", true, table.get(new Get(b("now"))).rawCells()[0].getTimestamp() > 1600000000000L);
        table.delete(new Delete(b("now")));
        same("a row is deleted", true, table.get(new Get(b("now"))).isEmpty());
        RowMutations both = new RowMutations(b("both"));
        both.add(put("both", "x", 3, "1")); both.add((Mutation) new Delete(b("both")).addColumns(F, b("y"), 2));
        table.mutateRow(both);
        same("one row's mutations are atomic", "x@3=1", show(table.get(new Get(b("both")))));
        same("a condition that holds lets a put through", true, table.checkAndMutate(b("both"), F).qualifier(b("x")).ifEquals(b("1")).thenPut(put("both", "x", 4, "2")));
        same("one that does not hold stops it", false, table.checkAndMutate(b("both"), F).qualifier(b("x")).ifEquals(b("1")).thenPut(put("both", "x", 5, "3")));
        same("a value is compared with what is stored", false, table.checkAndMutate(b("both"), F).qualifier(b("x")).ifMatches(CompareOperator.GREATER, b("1")).thenPut(put("both", "x", 6, "3")));
        same("an absent column is a condition", true, table.checkAndMutate(b("both"), F).qualifier(b("none")).ifNotExists().thenDelete(new Delete(b("both")).addColumns(F, b("y"), 9)));
        same("a filter is a condition", true, table.checkAndMutate(CheckAndMutate.newBuilder(b("both")).ifMatches(new SingleColumnValueFilter(F, b("x"), CompareOperator.EQUAL, b("2"))).build(put("both", "z", 7, "f"))).isSuccess());
        same("a counter counts", "5 7", table.incrementColumnValue(b("count"), F, b("n"), 5) + " " + table.incrementColumnValue(b("count"), F, b("n"), 2));
        same("a value grows", "abab", Bytes.toString(table.append(new Append(b("grow")).addColumn(F, b("t"), b("ab"))).getValue(F, b("t"))) + Bytes.toString(table.append(new Append(b("grow")).addColumn(F, b("t"), b(""))).getValue(F, b("t"))));
        same("rows are filtered by their beginning", "m000 m001 m002 m003 m004 m005 m006 m007 m008 m009", keys(table, new Scan().setFilter(new PrefixFilter(b("m00")))));
        same("a page ends inside its region", "m000 m001 m002", keys(table, new Scan().withStartRow(b("m")).withStopRow(b("n")).setFilter(new PageFilter(3))));
        same("rows are filtered by a value", "m007", keys(table, new Scan().withStartRow(b("m")).withStopRow(b("n")).setFilter(new SingleColumnValueFilter(F, b("q"), CompareOperator.EQUAL, b("v7")))));
        same("filters are joined", "m007 m100", keys(table, new Scan().withStartRow(b("m")).withStopRow(b("n")).setFilter(new FilterList(FilterList.Operator.MUST_PASS_ONE, new SingleColumnValueFilter(F, b("q"), CompareOperator.EQUAL, b("v7")), new FilterList(new PrefixFilter(b("m10")), new PageFilter(1))))));
        same("keys come without values", 0, table.getScanner(new Scan().withStartRow(b("m007")).setLimit(1).setFilter(new FilterList(new FirstKeyOnlyFilter(), new KeyOnlyFilter()))).next().rawCells()[0].getValueLength());
        admin.flush(name);
        same("a flushed table has its rows", "q@1=v7", show(table.get(new Get(b("m007")))));
        String refusal = "none";
        try { table.put(new Put(b("a")).addColumn(b("g"), b("q"), b("v"))); } catch (Exception e) { refusal = e.toString(); }
        same("an unknown family is refused", true, refusal.contains("NoSuchColumnFamily"));
      }
      admin.disableTable(name);
      same("a table is disabled", true, admin.isTableDisabled(name));
      admin.deleteTable(name);
      same("a table is dropped", false, admin.tableExists(name));
    }
    System.out.println(passed + " claims passed");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }
}
