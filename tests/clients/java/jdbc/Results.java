import java.io.InputStream;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.math.BigDecimal;
import java.sql.Array;
import java.sql.Connection;
import java.sql.Date;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.TimeZone;
import java.util.concurrent.TimeUnit;

/** Results: large ones in little memory, closed early, cancelled, and every way to read a value. */
public final class Results {
    private static final long LARGE_ROWS = 5_000_000;

    private Results() {
    }

    public static void main(String[] arguments) {
        Check.program(() -> run(arguments));
    }

    private static void run(String[] arguments) throws Exception {
        try (Connection connection = Check.connect(arguments[0])) {
            conversions(connection);
            nulls(connection);
            arrays(connection);
            momentsInEveryZone(connection);
            large(connection);
            closedMidway(connection);
            maximumRows(connection);
            cancelled(connection);
            timedOut(connection);
            errorsAmongRows(connection);
        }
    }

    /** Reads from the only row of a query. */
    private interface Reader {
        Object read(ResultSet row) throws Exception;
    }

    private static void reads(Connection connection, String expression, Object expected, Reader reader)
            throws Exception {
        try (Statement statement = connection.createStatement();
                ResultSet result = statement.executeQuery("SELECT " + expression + " AS x")) {
            Check.that("`" + expression + "` has a row", result.next());
            Check.same(expression, reader.read(result), expected);
            Check.that("`" + expression + "` has one row", !result.next());
        }
    }

    private static void conversions(Connection connection) throws Exception {
        reads(connection, "TRUE", true, row -> row.getBoolean("x"));
        reads(connection, "TRUE", 1, row -> row.getInt(1));
        reads(connection, "TRUE", "true", row -> row.getString(1));
        reads(connection, "CAST(-7 AS TINYINT)", (byte) -7, row -> row.getByte(1));
        reads(connection, "CAST(700 AS SMALLINT)", (short) 700, row -> row.getShort(1));
        reads(connection, "CAST(70000 AS INT)", 70000, row -> row.getInt(1));
        reads(connection, "CAST(70000 AS INT)", 70000L, row -> row.getLong(1));
        reads(connection, "CAST(70000 AS INT)", 70000, row -> row.getObject(1));
        reads(connection, "70000", 70000, row -> row.getObject(1, Integer.class));
        reads(connection, "70000", new BigDecimal(70000), row -> row.getBigDecimal(1));
        reads(connection, "70000", "70000", row -> row.getString("X"));
        reads(connection, "9223372036854775807", Long.MAX_VALUE, row -> row.getObject(1));
        reads(connection, "CAST(1.5 AS REAL)", 1.5f, row -> row.getFloat(1));
        reads(connection, "CAST(0.1 AS DOUBLE)", 0.1, row -> row.getDouble(1));
        reads(connection, "CAST(1.75 AS DOUBLE)", 1, row -> row.getInt(1));
        reads(connection, "CAST('-12.50' AS DECIMAL(10,2))", new BigDecimal("-12.50"), row -> row.getBigDecimal(1));
        reads(connection, "CAST('-12.50' AS DECIMAL(10,2))", "-12.50", row -> row.getString(1));
        reads(connection, "CAST('-12.50' AS DECIMAL(10,2))", -12.5, row -> row.getDouble(1));
        reads(connection, "'12'", 12, row -> row.getInt(1));
        reads(connection, "'grün 🦀'", "grün 🦀", row -> row.getString(1));
        reads(connection, "'grün'", "grün".getBytes("UTF-8"), row -> row.getBytes(1));
        reads(connection, "'grün'", (int) 'g', row -> row.getCharacterStream(1).read());
        reads(connection, "X'00ff80'", new byte[] {0, (byte) 0xff, (byte) 0x80}, row -> row.getBytes(1));
        reads(connection, "X'00ff80'", new byte[] {0, (byte) 0xff, (byte) 0x80}, row -> {
            try (InputStream stream = row.getBinaryStream(1)) {
                return stream.readAllBytes();
            }
        });
        reads(connection, "DATE '2024-02-29'", Date.valueOf("2024-02-29"), row -> row.getDate(1));
        reads(connection, "DATE '2024-02-29'", LocalDate.parse("2024-02-29"), row -> row.getObject(1, LocalDate.class));
        reads(connection, "INTERVAL '1 month 2 days 3.5 seconds'", "P1M2DT3.5S", row -> row.getString(1));
        reads(connection, "TIMESTAMP '2024-01-02 00:00:00' - TIMESTAMP '2024-01-01 00:00:00'", "PT24H",
            row -> row.getString(1));
        reads(connection, "named_struct('a', 1, 'b', 'ü')", "{\"a\":1,\"b\":\"ü\"}", row -> row.getString(1));
        reads(connection, "MAP {'a': 1, 'ü': NULL}", "{\"a\":1,\"ü\":null}", row -> row.getString(1));
        // Encodings that the driver cannot read are never sent.
        reads(connection, "arrow_cast('a', 'Utf8View')", "a", row -> row.getString(1));
        reads(connection, "arrow_cast('a', 'Dictionary(Int32, Utf8)')", "a", row -> row.getString(1));
        reads(connection, "arrow_cast(1.5, 'Float16')", 1.5f, row -> row.getFloat(1));
        Check.refusedWith("no number", "abc", () -> reads(connection, "'abc'", 0, row -> row.getInt(1)));
        Check.refusedWith("no such column", "nothing", () -> reads(connection, "1", 0, row -> row.getInt("nothing")));
    }

    private static void nulls(Connection connection) throws Exception {
        for (String type : List.of("BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "REAL", "DOUBLE",
                "DECIMAL(10,2)", "TEXT", "DATE", "TIMESTAMP", "BIGINT[]")) {
            reads(connection, "CAST(NULL AS " + type + ")", true, row -> row.getObject(1) == null && row.wasNull());
            reads(connection, "CAST(NULL AS " + type + ")", true, row -> row.getString(1) == null && row.wasNull());
        }
        reads(connection, "NULL", true, row -> row.getObject(1) == null && row.wasNull());
        reads(connection, "CAST(NULL AS TIMESTAMP WITH TIME ZONE)", true,
            row -> row.getObject(1, Instant.class) == null && row.getTimestamp(1) == null && row.wasNull());
        reads(connection, "CAST(NULL AS BOOLEAN)", true, row -> !row.getBoolean(1) && row.wasNull());
        reads(connection, "CAST(NULL AS INT)", true, row -> row.getInt(1) == 0 && row.wasNull());
        reads(connection, "CAST(NULL AS DOUBLE)", true, row -> row.getDouble(1) == 0 && row.wasNull());
        reads(connection, "CAST(NULL AS DECIMAL(10,2))", true, row -> row.getBigDecimal(1) == null && row.wasNull());
        reads(connection, "CAST(NULL AS DATE)", true, row -> row.getDate(1) == null && row.wasNull());
        reads(connection, "CAST(NULL AS BIGINT[])", true, row -> row.getArray(1) == null && row.wasNull());
        reads(connection, "1", true, row -> row.getInt(1) == 1 && !row.wasNull());
        // A NULL between values: what was NULL is forgotten with the next value.
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(
                "SELECT CASE WHEN value % 2 = 0 THEN value END AS x FROM generate_series(1, 6) ORDER BY value")) {
            for (long n = 1; n <= 6; n++) {
                Check.that("there is row " + n, result.next());
                Check.same("row " + n, result.getLong(1), n % 2 == 0 ? n : 0);
                Check.same("row " + n + " is NULL", result.wasNull(), n % 2 != 0);
            }
        }
    }

    private static void arrays(Connection connection) throws Exception {
        reads(connection, "[1, NULL, 3]", new Object[] {1L, null, 3L}, row -> (Object[]) row.getArray(1).getArray());
        reads(connection, "['a', 'ü']", "[\"a\",\"ü\"]", row -> row.getString(1));
        reads(connection, "[['a'], [], NULL]", "[[\"a\"],[],null]", row -> row.getString(1));
        reads(connection, "CAST(make_array() AS BIGINT[])", 0, row -> ((Object[]) row.getArray(1).getArray()).length);
        reads(connection, "[named_struct('a', 1)]", "[{\"a\":1}]", row -> row.getString(1));
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(
                "SELECT make_array(value, value * 10) AS x FROM generate_series(1, 3) ORDER BY value")) {
            for (long n = 1; n <= 3; n++) {
                result.next();
                Array array = result.getArray("x");
                Check.same("array " + n, (Object[]) array.getArray(), new Object[] {n, n * 10});
            }
        }
    }

    /** A wall clock stays what it is and an instant is the same one, wherever the program runs. */
    private static void momentsInEveryZone(Connection connection) throws Exception {
        TimeZone before = TimeZone.getDefault();
        String wall = "TIMESTAMP '2024-07-01 12:34:56.789012'";
        String instant = "TIMESTAMPTZ '2024-07-01 12:34:56.789012Z'";
        LocalDateTime local = LocalDateTime.parse("2024-07-01T12:34:56.789012");
        Instant moment = Instant.parse("2024-07-01T12:34:56.789012Z");
        try {
            for (String zone : List.of("UTC", "America/New_York", "Australia/Melbourne", "Asia/Kolkata")) {
                TimeZone.setDefault(TimeZone.getTimeZone(zone));
                reads(connection, wall, local, row -> row.getObject(1, LocalDateTime.class));
                reads(connection, wall, "2024-07-01 12:34:56.789012", row -> row.getString(1));
                reads(connection, wall, Timestamp.valueOf(local), row -> row.getObject(1, Timestamp.class));
                reads(connection, instant, moment, row -> row.getObject(1, Instant.class));
                reads(connection, instant, moment, row -> row.getObject(1, OffsetDateTime.class).toInstant());
                reads(connection, instant, "2024-07-01 12:34:56.789012", row -> row.getString(1));
                reads(connection, "DATE '2024-02-29'", "2024-02-29", row -> row.getDate(1).toString());
                reads(connection, "TIME '12:34:56.789'", 45_296_789L, row -> row.getTime(1).getTime());
            }
        } finally {
            TimeZone.setDefault(before);
        }
        // `getTimestamp` is right where the program runs in UTC; elsewhere the driver shifts it, twice for an instant.
        reads(connection, wall, Timestamp.valueOf(local), row -> row.getTimestamp(1));
        reads(connection, instant, moment, row -> row.getTimestamp(1).toInstant());
        reads(connection, wall, Timestamp.valueOf(local), row -> row.getObject(1));
    }

    private static void large(Connection connection) throws Exception {
        String sql = "SELECT value AS n, CAST(value AS DOUBLE) / 2 AS half, concat('label-', value % 1000) AS label,"
            + " CASE WHEN value % 2 = 0 THEN value END AS even FROM generate_series(1, " + LARGE_ROWS + ")";
        long peak = 0;
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            long rows = 0;
            long sum = 0;
            long nulls = 0;
            double halves = 0;
            long letters = 0;
            while (result.next()) {
                rows++;
                sum += result.getLong(1);
                halves += result.getDouble(2);
                letters += result.getString(3).length();
                result.getLong(4);
                nulls += result.wasNull() ? 1 : 0;
                if (rows % 500_000 == 0) {
                    peak = Math.max(peak, directMemory());
                }
            }
            Check.same("rows", rows, LARGE_ROWS);
            Check.same("sum", sum, LARGE_ROWS * (LARGE_ROWS + 1) / 2);
            Check.same("halves", halves, LARGE_ROWS * (LARGE_ROWS + 1) / 4.0);
            Check.same("NULLs", nulls, LARGE_ROWS / 2);
            // Of a thousand labels ten have one digit more than `label-`, ninety two and nine hundred three.
            Check.same("letters", letters, LARGE_ROWS / 1000 * (10 * 7 + 90 * 8 + 900 * 9));
        }
        // The heap is bounded by the program's own `-Xmx`; this is what lies beside it.
        Check.that("a large result needs little memory, found " + peak + " bytes", peak < 256L << 20);
    }

    private static long directMemory() {
        long used = 0;
        for (BufferPoolMXBean pool : ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class)) {
            used += pool.getMemoryUsed();
        }
        return used;
    }

    /** A result that nobody wants any more leaves a connection that goes on. */
    private static void closedMidway(Connection connection) throws Exception {
        for (int round = 0; round < 20; round++) {
            try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(
                    "SELECT value FROM generate_series(1, 100000000)")) {
                for (int row = 1; row <= 10; row++) {
                    Check.that("there is a row", result.next());
                }
            }
            Check.same("after a result that was closed", Check.one(connection, "SELECT 1 + 1"), 2L);
        }
        try (Statement statement = connection.createStatement()) {
            ResultSet first = statement.executeQuery("SELECT value FROM generate_series(1, 100000000)");
            first.next();
            ResultSet second = statement.executeQuery("SELECT 42");
            Check.that("the first result is closed", first.isClosed());
            second.next();
            Check.same("the second result", second.getLong(1), 42L);
        }
        // Two results at once on one connection.
        try (Statement one = connection.createStatement(); Statement two = connection.createStatement();
                ResultSet left = one.executeQuery("SELECT value FROM generate_series(1, 100000) ORDER BY value");
                ResultSet right = two.executeQuery("SELECT value FROM generate_series(1, 100000) ORDER BY value")) {
            for (long n = 1; n <= 100_000; n++) {
                Check.that("both have row " + n, left.next() && right.next());
                Check.that("both are at row " + n, left.getLong(1) == n && right.getLong(1) == n);
            }
        }
    }

    private static void maximumRows(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setMaxRows(7);
            statement.setFetchSize(2);
            ResultSet result = statement.executeQuery("SELECT value FROM generate_series(1, 100)");
            int rows = 0;
            while (result.next()) {
                rows++;
            }
            Check.same("the most rows", rows, 7);
        }
    }

    /** Endless work: its rows come late or never. */
    private static final String ENDLESS =
        "SELECT sum(a.value * b.value) FROM generate_series(1, 3000000) AS a, generate_series(1, 3000000) AS b";

    private static void cancelled(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    // A statement that has not begun takes no notice, so it is told until it does.
                    while (true) {
                        TimeUnit.MILLISECONDS.sleep(50);
                        statement.cancel();
                    }
                } catch (InterruptedException | SQLException | RuntimeException end) {
                    Thread.currentThread().interrupt();
                }
            });
            canceller.start();
            long began = System.nanoTime();
            Check.refused("a cancelled query", () -> {
                try (ResultSet result = statement.executeQuery(ENDLESS)) {
                    result.next();
                }
            });
            canceller.interrupt();
            canceller.join();
            Check.that("it was given up in time", System.nanoTime() - began < TimeUnit.SECONDS.toNanos(20));
        }
        Check.same("after it", Check.one(connection, "SELECT 1 + 1"), 2L);
    }

    private static void timedOut(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            long began = System.nanoTime();
            Check.refused("a query that takes too long", () -> {
                try (ResultSet result = statement.executeQuery(ENDLESS)) {
                    result.next();
                }
            });
            long took = System.nanoTime() - began;
            Check.that("it was given up in time", took < TimeUnit.SECONDS.toNanos(20));
        }
        Check.same("after it", Check.one(connection, "SELECT 1 + 1"), 2L);
    }

    /** An error that comes when rows have been sent already. */
    private static void errorsAmongRows(Connection connection) throws Exception {
        String text = Check.refused("a division by zero late in the rows", () -> {
            try (Statement statement = connection.createStatement(); ResultSet result =
                    statement.executeQuery("SELECT 1 / (1000000 - value) AS x FROM generate_series(1, 2000000)")) {
                while (result.next()) {
                    result.getLong(1);
                }
            }
        });
        Check.that("it says why, found `" + text + "`", text.contains("ivide by zero"));
        Check.same("after it", Check.one(connection, "SELECT 1 + 1"), 2L);
    }
}
