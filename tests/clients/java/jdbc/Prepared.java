import java.math.BigDecimal;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.Arrays;
import java.util.Calendar;
import java.util.List;
import java.util.TimeZone;

/** Prepared statements: every setter, one handle many times, batches, and effects by every method. */
public final class Prepared {
    private static final Timestamp MOMENT = Timestamp.valueOf(LocalDateTime.parse("2024-07-01T12:34:56.789"));

    private Prepared() {
    }

    public static void main(String[] arguments) {
        Check.program(() -> run(arguments));
    }

    private static void run(String[] arguments) throws Exception {
        try (Connection connection = Check.connect(arguments[0])) {
            everySetter(connection);
            instantsInAnyZone(connection);
            parametersWithoutACast(connection);
            placeholders(connection);
            oneHandleManyTimes(connection);
            batches(connection);
            effectsByEveryMethod(connection);
            training(connection);
        }
        // The driver loses the memory of a binding that it refuses, and complains when the connection is closed.
        mistakes(Check.connect(arguments[0]));
    }

    /** Binds the first parameter. */
    private interface Setter {
        void bind(PreparedStatement statement) throws SQLException;
    }

    private static void value(Connection connection, String type, String expected, Setter... setters)
            throws SQLException {
        String sql = "SELECT CAST(? AS " + type + ") AS x";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < setters.length; i++) {
                setters[i].bind(statement);
                String what = type + " by setter " + (i + 1);
                try (ResultSet result = statement.executeQuery()) {
                    Check.that(what + " gives a row", result.next());
                    Check.same(what, result.getString(1), expected);
                }
            }
            for (Setter none : List.<Setter>of(s -> s.setNull(1, Types.NULL), s -> s.setNull(1, Types.VARCHAR),
                    s -> s.setObject(1, null), s -> s.setObject(1, null, Types.INTEGER))) {
                none.bind(statement);
                try (ResultSet result = statement.executeQuery()) {
                    Check.that("NULL as " + type + " gives a row", result.next());
                    Check.same("NULL as " + type, result.getString(1), null);
                    Check.that("NULL as " + type + " was NULL", result.wasNull());
                }
            }
        }
    }

    private static void everySetter(Connection connection) throws SQLException {
        value(connection, "BOOLEAN", "true", s -> s.setBoolean(1, true), s -> s.setObject(1, true));
        value(connection, "TINYINT", "-7", s -> s.setByte(1, (byte) -7), s -> s.setInt(1, -7), s -> s.setObject(1, -7));
        value(connection, "SMALLINT", "700", s -> s.setShort(1, (short) 700), s -> s.setInt(1, 700),
            s -> s.setObject(1, (short) 700));
        value(connection, "INT", "-70000", s -> s.setInt(1, -70000), s -> s.setObject(1, -70000),
            s -> s.setObject(1, -70000, Types.INTEGER), s -> s.setLong(1, -70000L));
        value(connection, "BIGINT", "9223372036854775807", s -> s.setLong(1, Long.MAX_VALUE),
            s -> s.setObject(1, Long.MAX_VALUE), s -> s.setObject(1, BigInteger.valueOf(Long.MAX_VALUE)),
            s -> s.setObject(1, Long.MAX_VALUE, Types.BIGINT));
        value(connection, "REAL", "1.5", s -> s.setFloat(1, 1.5f), s -> s.setDouble(1, 1.5), s -> s.setObject(1, 1.5f));
        value(connection, "DOUBLE", "0.1", s -> s.setDouble(1, 0.1), s -> s.setObject(1, 0.1),
            s -> s.setBigDecimal(1, new BigDecimal("0.1")));
        // The driver takes a decimal with exactly as many places as the type has.
        value(connection, "DECIMAL(12,3)", "-123456789.125",
            s -> s.setBigDecimal(1, new BigDecimal("-123456789.125")),
            s -> s.setObject(1, new BigDecimal("-123456789.125")));
        value(connection, "DECIMAL(38,0)", "99999999999999999999999999999999999999",
            s -> s.setBigDecimal(1, new BigDecimal("9".repeat(38))));
        value(connection, "TEXT", "grün 日本語 🦀 it's ? $1", s -> s.setString(1, "grün 日本語 🦀 it's ? $1"),
            s -> s.setNString(1, "grün 日本語 🦀 it's ? $1"), s -> s.setObject(1, "grün 日本語 🦀 it's ? $1"),
            s -> s.setObject(1, "grün 日本語 🦀 it's ? $1", Types.VARCHAR));
        value(connection, "TEXT", "", s -> s.setString(1, ""));
        value(connection, "DATE", "2024-02-29", s -> s.setDate(1, Date.valueOf("2024-02-29")),
            s -> s.setObject(1, Date.valueOf("2024-02-29")));
        value(connection, "TIMESTAMP", "2024-07-01 12:34:56.789", s -> s.setTimestamp(1, MOMENT),
            s -> s.setObject(1, MOMENT));
        try (PreparedStatement statement = connection.prepareStatement("SELECT CAST(? AS TIME) AS x")) {
            statement.setTime(1, Time.valueOf("12:34:56"));
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                // The driver's times are milliseconds since midnight, whatever the zone.
                Check.same("TIME", result.getTime(1).getTime(), ((12 * 60 + 34) * 60 + 56) * 1000L);
            }
        }
        value(connection, "BIGINT[]", "[1,null,3]",
            s -> s.setArray(1, s.getConnection().createArrayOf("BIGINT", new Object[] {1L, null, 3L})),
            s -> s.setObject(1, Arrays.asList(1L, null, 3L)));
        byte[] bytes = {0, 1, (byte) 0xff, (byte) 0x80};
        try (PreparedStatement statement = connection.prepareStatement("SELECT CAST(? AS BINARY) AS x")) {
            for (byte[] sent : List.of(bytes, new byte[0])) {
                statement.setBytes(1, sent);
                try (ResultSet result = statement.executeQuery()) {
                    result.next();
                    Check.same("BINARY", result.getBytes(1), sent);
                }
            }
        }
    }

    /** The driver sends the wall clock of the calendar, so an instant is bound with one in UTC. */
    private static void instantsInAnyZone(Connection connection) throws SQLException {
        Instant instant = Instant.parse("2024-07-01T12:34:56.789Z");
        Calendar utc = Calendar.getInstance(TimeZone.getTimeZone("UTC"));
        String sql = "SELECT CAST(? AS TIMESTAMP WITH TIME ZONE) AS x";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setTimestamp(1, Timestamp.from(instant), utc);
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                Check.same("an instant", result.getObject(1, Instant.class), instant);
            }
            statement.setNull(1, Types.TIMESTAMP_WITH_TIMEZONE);
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                Check.same("no instant", result.getString(1), null);
            }
        }
    }

    /** What a parameter is where nothing but its place says it. */
    private static void parametersWithoutACast(Connection connection) throws SQLException {
        Check.update(connection, "CREATE TABLE places (n BIGINT, x DOUBLE, name TEXT, day DATE)");
        Check.update(connection, """
            INSERT INTO places VALUES (1, 1.5, 'a', DATE '2024-01-01'), (2, 2.5, 'b', DATE '2024-01-02'),
              (3, 3.5, 'c', DATE '2024-01-03')""");
        Check.same("a comparison", count(connection, "n >= ?", s -> s.setLong(1, 2)), 2L);
        Check.same("BETWEEN", count(connection, "x BETWEEN ? AND 3", s -> s.setDouble(1, 2)), 1L);
        Check.same("IN", count(connection, "name IN (?, 'b')", s -> s.setString(1, "a")), 2L);
        Check.same("LIKE", count(connection, "name LIKE ?", s -> s.setString(1, "%")), 3L);
        Check.same("a date", count(connection, "day < ?", s -> s.setDate(1, Date.valueOf("2024-01-02"))), 1L);
        Check.same("arithmetic", count(connection, "n + ? = 4", s -> s.setLong(1, 1)), 1L);
        Check.same("a function", count(connection, "sqrt(?) < x", s -> s.setDouble(1, 4)), 2L);
        Check.same("a function of text", count(connection, "upper(?) = 'B'", s -> s.setString(1, "b")), 3L);
        Check.same("coalesce", count(connection, "coalesce(?, n) = 1", s -> s.setNull(1, Types.BIGINT)), 1L);
        Check.same("a text of two", count(connection, "? || ? = 'ab'", s -> {
            s.setString(1, "a");
            s.setString(2, "b");
        }), 3L);
        Check.same("a condition", count(connection, "NOT ? AND n > 1", s -> s.setBoolean(1, false)), 2L);
        Check.same("a branch", count(connection, "CASE WHEN ? THEN n ELSE 0 END = 1", s -> s.setBoolean(1, true)), 1L);
        Check.same("IS NULL", count(connection, "? IS NULL OR n = ?", s -> {
            s.setNull(1, Types.VARCHAR);
            s.setLong(2, 1);
        }), 3L);
        Check.same("a function of numbers", count(connection, "round(?, 1) = 1.3", s -> s.setDouble(1, 1.26)), 3L);
        Check.same("days after a date", count(connection, "day + ? = DATE '2024-01-03'", s -> s.setLong(1, 1)), 1L);
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT n FROM places ORDER BY n LIMIT ? OFFSET ?")) {
            statement.setLong(1, 1);
            statement.setInt(2, 1);
            Check.same("LIMIT and OFFSET", Check.strings(statement.executeQuery(), "n"), List.of("2"));
        }
        // Alone it is a text.
        try (PreparedStatement statement = connection.prepareStatement("SELECT ? AS x")) {
            statement.setString(1, "alone");
            Check.same("alone", Check.strings(statement.executeQuery(), "x"), List.of("alone"));
        }
    }

    private static long count(Connection connection, String condition, Setter setter) throws SQLException {
        String sql = "SELECT count(*) AS n FROM places WHERE " + condition;
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            setter.bind(statement);
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                return result.getLong(1);
            }
        }
    }

    private static void placeholders(Connection connection) throws SQLException {
        String sql = "SELECT n, '?' AS mark, \"name\" /* ? */ FROM places WHERE n = $2 AND x = $1 -- ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            Check.same("numbered parameters", statement.getParameterMetaData().getParameterCount(), 2);
            Check.same("the type of $1", statement.getParameterMetaData().getParameterType(1), Types.DOUBLE);
            Check.same("the type of $2", statement.getParameterMetaData().getParameterType(2), Types.BIGINT);
            statement.setDouble(1, 2.5);
            statement.setLong(2, 2);
            Check.same("by number", Check.rows(statement.executeQuery(), "n", "mark", "name"),
                List.of(List.of("2", "?", "b")));
        }
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT n FROM places WHERE n = $1 OR n = $1 + 1 ORDER BY n")) {
            statement.setLong(1, 1);
            Check.same("one number twice", Check.strings(statement.executeQuery(), "n"), List.of("1", "2"));
        }
    }

    private static void oneHandleManyTimes(Connection connection) throws SQLException {
        Check.update(connection, "CREATE TABLE handles (n BIGINT, name TEXT)");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO handles VALUES (?, ?)");
                PreparedStatement select =
                    connection.prepareStatement("SELECT name FROM handles WHERE n = ? ORDER BY name")) {
            for (int n = 1; n <= 20; n++) {
                insert.setLong(1, n);
                insert.setString(2, "row " + n);
                Check.same("insert " + n, insert.executeUpdate(), 1);
                select.setLong(1, n);
                Check.same("select " + n, Check.strings(select.executeQuery(), "name"), List.of("row " + n));
            }
            // With what was bound last, as it is.
            Check.same("insert again", insert.executeUpdate(), 1);
            Check.same("select again", Check.strings(select.executeQuery(), "name"), List.of("row 20", "row 20"));
        }
        Check.same("rows", Check.one(connection, "SELECT count(*) FROM handles"), 21L);
    }

    private static void batches(Connection connection) throws SQLException {
        Check.update(connection, "CREATE TABLE batches (n BIGINT, name TEXT, price DECIMAL(10,2), day DATE)");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO batches VALUES (?, ?, ?, ?)")) {
            for (int round = 0; round < 2; round++) {
                for (int n = 0; n < 1000; n++) {
                    insert.setLong(1, round * 1000L + n);
                    if (n % 10 == 0) {
                        insert.setNull(2, Types.VARCHAR);
                    } else {
                        insert.setString(2, "name " + n);
                    }
                    insert.setBigDecimal(3, BigDecimal.valueOf(n, 2));
                    insert.setDate(4, Date.valueOf("2024-01-01"));
                    insert.addBatch();
                }
                // The driver adds the counts of a batch up.
                Check.same("a batch", insert.executeBatch(), new int[] {1000});
            }
        }
        try (Statement statement = connection.createStatement();
                ResultSet result = statement.executeQuery(
                    "SELECT count(*), count(name), sum(n), sum(price) FROM batches")) {
            result.next();
            Check.same("rows of the batches", result.getLong(1), 2000L);
            Check.same("names of the batches", result.getLong(2), 1800L);
            Check.same("numbers of the batches", result.getLong(3), 1999L * 2000 / 2);
            // Twice 0.00 + 0.01 + … + 9.99.
            Check.same("prices of the batches", result.getBigDecimal(4).compareTo(new BigDecimal("9990.00")), 0);
        }
        // A batch is one version of the table: nothing reads a part of it.
        Check.same("versions", Check.one(connection, "SELECT count(*) FROM batches VERSION AS OF 1"), 1000L);
        Check.update(connection, "CREATE TABLE strict (n BIGINT NOT NULL)");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO strict VALUES (?)")) {
            insert.setLong(1, 1);
            insert.addBatch();
            insert.setNull(1, Types.BIGINT);
            insert.addBatch();
            Check.refused("a NULL in a batch", insert::executeBatch);
        }
        Check.same("no part of a batch", Check.one(connection, "SELECT count(*) FROM strict"), 0L);
    }

    /** Each of these runs its statement once. */
    private static void effectsByEveryMethod(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            Check.same("DDL by execute", statement.execute("CREATE TABLE effects (n BIGINT)"), false);
            Check.same("its count", statement.getUpdateCount(), 0);
            Check.same("DDL by executeUpdate", statement.executeUpdate("CREATE TABLE effects_2 (n BIGINT)"), 0);
            Check.same("DROP by executeUpdate", statement.executeUpdate("DROP TABLE effects_2"), 0);
            Check.same("DML by execute", statement.execute("INSERT INTO effects VALUES (1)"), false);
            Check.same("its count", statement.getUpdateCount(), 1);
            Check.same("DML by executeUpdate", statement.executeUpdate("INSERT INTO effects VALUES (2), (3)"), 2);
            Check.same("DML by executeLargeUpdate", statement.executeLargeUpdate("INSERT INTO effects VALUES (4)"), 1L);
            Check.same("SET by execute", statement.execute("SET timezone = 'UTC'"), false);
            Check.same("USE by execute", statement.execute("USE main"), false);
            Check.same("a query by execute", statement.execute("SELECT count(*) FROM effects"), true);
            try (ResultSet result = statement.getResultSet()) {
                result.next();
                Check.same("rows by Statement", result.getLong(1), 4L);
            }
        }
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO effects VALUES (?)")) {
            insert.setLong(1, 5);
            // Driver 18.3 asks for the rows of an effect here, later ones for its count; it runs once for either.
            if (!insert.execute()) {
                Check.same("its count", insert.getUpdateCount(), 1);
            }
            insert.setLong(1, 6);
            Check.same("prepared DML by executeUpdate", insert.executeUpdate(), 1);
            insert.setLong(1, 7);
            Check.same("prepared DML by executeLargeUpdate", insert.executeLargeUpdate(), 1L);
        }
        try (PreparedStatement copy = connection.prepareStatement("INSERT INTO effects SELECT n + 10 FROM effects")) {
            Check.same("DML without parameters", copy.executeUpdate(), 7);
        }
        try (PreparedStatement create = connection.prepareStatement("CREATE TABLE effects_3 AS SELECT * FROM effects")) {
            create.execute();
        }
        Check.same("rows by each method", Check.one(connection, "SELECT count(*) FROM effects"), 14L);
        Check.same("rows of CREATE TABLE AS", Check.one(connection, "SELECT count(*) FROM effects_3"), 14L);
        // One version for the CREATE TABLE and one for each of the seven INSERTs: none of them ran twice.
        Check.same("versions",
            Check.one(connection, "SELECT count(*) FROM effects VERSION AS OF 7"), 14L);
        Check.refused("a version too many", () -> Check.one(connection, "SELECT count(*) FROM effects VERSION AS OF 8"));
    }

    private static void training(Connection connection) throws SQLException {
        Check.update(connection,
            "CREATE TABLE line AS SELECT CAST(value AS DOUBLE) AS x, 2.0 * value + 1.0 AS y FROM generate_series(0, 99)");
        String sql = "TRAIN MODEL line USING linear_regression TARGET y SPLIT NONE SEED 1 AS SELECT x, y FROM line";
        try (Statement statement = connection.createStatement()) {
            try (ResultSet result = statement.executeQuery(sql)) {
                Check.that("TRAIN by executeQuery has a row", result.next());
                Check.same("its version", result.getLong("version"), 1L);
                Check.that("it has one row", !result.next());
            }
            Check.same("TRAIN by execute", statement.execute(sql), true);
            try (ResultSet result = statement.getResultSet()) {
                result.next();
                Check.same("its version", result.getLong("version"), 2L);
            }
        }
        try (PreparedStatement statement = connection.prepareStatement(sql + " WHERE x < ?")) {
            statement.setDouble(1, 50);
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                Check.same("TRAIN by a prepared statement", result.getLong("version"), 3L);
                Check.same("its rows", result.getLong("rows"), 50L);
            }
        }
        Check.same("models",
            Check.one(connection, "SELECT count(*) FROM system.model_versions WHERE name = 'line'"), 3L);
        try (PreparedStatement predict = connection.prepareStatement("SELECT PREDICT('line', ?) AS y")) {
            Check.same("a feature's type", predict.getParameterMetaData().getParameterType(1), Types.DOUBLE);
            predict.setDouble(1, 1000);
            try (ResultSet result = predict.executeQuery()) {
                result.next();
                Check.that("the line is learned", Math.abs(result.getDouble(1) - 2001) < 1e-6);
            }
        }
    }

    private static void mistakes(Connection connection) throws SQLException {
        Check.refusedWith("a wrong name", "unknown table", () -> connection.prepareStatement("SELECT * FROM nothing"));
        Check.refusedWith("half a statement", "expected", () -> connection.prepareStatement("SELECT * FROM"));
        PreparedStatement two = connection.prepareStatement("SELECT CAST(? AS BIGINT) + CAST(? AS BIGINT)");
        two.setLong(1, 1);
        Check.refused("one of two parameters", two::executeQuery);
        two.setLong(2, 2);
        try (ResultSet result = two.executeQuery()) {
            result.next();
            Check.same("both", result.getLong(1), 3L);
        }
        Check.refused("a third of two parameters", () -> two.setLong(3, 1));
        two.close();
        Check.refused("a closed statement", two::executeQuery);
        try (PreparedStatement divided = connection.prepareStatement("SELECT 1 / CAST(? AS BIGINT) AS x")) {
            divided.setLong(1, 0);
            Check.refusedWith("division by zero", "ivide by zero", () -> {
                try (ResultSet result = divided.executeQuery()) {
                    result.next();
                }
            });
            divided.setLong(1, 1);
            Check.same("the statement goes on", Check.strings(divided.executeQuery(), "x"), List.of("1"));
        }
    }
}
