import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.Period;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TimeZone;

/**
 * Every value of `types.json` through this driver: as a literal, as a parameter, and through a table in a batch.
 *
 * <p>The expected values are computed from the file's texts by Java's own parsers.
 */
public final class Types {
    private Types() {
    }

    public static void main(String[] arguments) {
        Check.program(() -> run(arguments));
    }

    private static void run(String[] arguments) throws Exception {
        List<Map<String, Object>> rows = rows(Path.of(arguments[1]));
        int values = 0;
        try (Connection connection = Check.connect(arguments[0])) {
            for (Map<String, Object> row : rows) {
                values += literal(connection, row) + parameter(connection, row);
            }
            values += tables(connection, rows);
        }
        // A file that has lost its rows, or whose paths have other names, would pass for a success.
        Check.that("there are at least 250 values, found " + values, values >= 250);
        for (Map<String, Object> row : rows) {
            Check.that(text(row, "name") + " is bound, or says why not",
                takes(row, "jdbc-parameter") || text(row, "why") != null);
        }
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> rows(Path file) throws Exception {
        Map<String, Object> document = (Map<String, Object>) Json.parse(Files.readString(file));
        return (List<Map<String, Object>>) document.get("rows");
    }

    private static String text(Map<String, Object> row, String field) {
        return (String) row.get(field);
    }

    private static boolean takes(Map<String, Object> row, String path) {
        return List.of(text(row, "paths").split(" ")).contains(path);
    }

    private static int literal(Connection connection, Map<String, Object> row) throws Exception {
        if (!takes(row, "literal")) {
            return 0;
        }
        String sql = "SELECT " + text(row, "literal") + " AS x";
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            Check.that(sql + " has a row", result.next());
            same("literal", row, result);
            Check.same("the type of " + sql, result.getMetaData().getColumnType(1), jdbcType(text(row, "sql_type")));
        }
        return 1;
    }

    private static int parameter(Connection connection, Map<String, Object> row) throws Exception {
        if (!takes(row, "parameter") || !takes(row, "jdbc-parameter")) {
            return 0;
        }
        String sql = "SELECT CAST(? AS " + text(row, "sql_type") + ") AS x";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            Check.same("the parameter of " + sql, statement.getParameterMetaData().getParameterType(1),
                jdbcType(text(row, "sql_type")));
            bind(statement, 1, row);
            try (ResultSet result = statement.executeQuery()) {
                Check.that(sql + " has a row", result.next());
                same("parameter", row, result);
            }
        }
        return 1;
    }

    /** Each type in a table of its own: what the driver can bind in one batch, the rest as literals. */
    private static int tables(Connection connection, List<Map<String, Object>> rows) throws Exception {
        Map<String, List<Map<String, Object>>> byType = new LinkedHashMap<>();
        for (Map<String, Object> row : rows) {
            if (takes(row, "table")) {
                byType.computeIfAbsent(text(row, "sql_type"), type -> new ArrayList<>()).add(row);
            }
        }
        int values = 0;
        int tables = 0;
        for (Map.Entry<String, List<Map<String, Object>>> of : byType.entrySet()) {
            String table = "values_" + tables++;
            List<Map<String, Object>> kept = of.getValue();
            Check.update(connection, "CREATE TABLE " + table + " (n BIGINT, x " + of.getKey() + ")");
            insert(connection, table, kept);
            String sql = "SELECT x, n FROM " + table + " ORDER BY n";
            try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
                for (Map<String, Object> row : kept) {
                    Check.that(table + " has a row for " + text(row, "name"), result.next());
                    same("table", row, result);
                    values++;
                }
                Check.that(table + " has no more rows", !result.next());
            }
            Check.update(connection, "DROP TABLE " + table);
        }
        return values;
    }

    private static void insert(Connection connection, String table, List<Map<String, Object>> rows) throws Exception {
        int batch = 0;
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + table + " VALUES (?, ?)")) {
            for (int n = 0; n < rows.size(); n++) {
                if (takes(rows.get(n), "jdbc-parameter")) {
                    insert.setLong(1, n);
                    bind(insert, 2, rows.get(n));
                    insert.addBatch();
                    batch++;
                }
            }
            if (batch > 0) {
                Check.same("rows of " + table, insert.executeBatch(), new int[] {batch});
            }
        }
        List<String> literals = new ArrayList<>();
        for (int n = 0; n < rows.size(); n++) {
            if (!takes(rows.get(n), "jdbc-parameter")) {
                literals.add("SELECT " + n + ", " + text(rows.get(n), "literal"));
            }
        }
        for (String select : literals) {
            Check.same("rows of " + table, Check.update(connection, "INSERT INTO " + table + " " + select), 1);
        }
    }

    /** The type without digits, lengths and parts. */
    private static String family(String sqlType) {
        if (sqlType.endsWith("[]")) {
            return "LIST";
        }
        return sqlType.replaceAll("[(<].*", "");
    }

    private static int jdbcType(String sqlType) {
        return switch (family(sqlType)) {
            case "BOOLEAN" -> java.sql.Types.BOOLEAN;
            case "TINYINT" -> java.sql.Types.TINYINT;
            case "SMALLINT" -> java.sql.Types.SMALLINT;
            case "INT" -> java.sql.Types.INTEGER;
            case "BIGINT" -> java.sql.Types.BIGINT;
            // FLOAT is JDBC's name for a number of either size; this driver gives it to the smaller one.
            case "REAL" -> java.sql.Types.FLOAT;
            case "DOUBLE" -> java.sql.Types.DOUBLE;
            case "DECIMAL" -> java.sql.Types.DECIMAL;
            case "TEXT" -> java.sql.Types.VARCHAR;
            case "BINARY" -> java.sql.Types.VARBINARY;
            case "DATE" -> java.sql.Types.DATE;
            case "TIME" -> java.sql.Types.TIME;
            case "TIMESTAMP" -> java.sql.Types.TIMESTAMP;
            case "TIMESTAMP WITH TIME ZONE" -> java.sql.Types.TIMESTAMP_WITH_TIMEZONE;
            case "LIST" -> java.sql.Types.ARRAY;
            case "INTERVAL", "STRUCT", "MAP" -> java.sql.Types.JAVA_OBJECT;
            default -> throw new AssertionError("no JDBC type is known for `" + sqlType + "`");
        };
    }

    private static void bind(PreparedStatement statement, int index, Map<String, Object> row) throws SQLException {
        String text = text(row, "text");
        String family = family(text(row, "sql_type"));
        if (text == null) {
            statement.setNull(index, jdbcType(text(row, "sql_type")));
            return;
        }
        switch (family) {
            case "BOOLEAN" -> statement.setBoolean(index, Boolean.parseBoolean(text));
            case "TINYINT" -> statement.setByte(index, Byte.parseByte(text));
            case "SMALLINT" -> statement.setShort(index, Short.parseShort(text));
            case "INT" -> statement.setInt(index, Integer.parseInt(text));
            case "BIGINT" -> statement.setLong(index, Long.parseLong(text));
            case "REAL" -> statement.setFloat(index, Float.parseFloat(text));
            case "DOUBLE" -> statement.setDouble(index, Double.parseDouble(text));
            case "DECIMAL" -> statement.setBigDecimal(index, new BigDecimal(text));
            case "TEXT" -> statement.setString(index, text);
            case "BINARY" -> statement.setBytes(index, HexFormat.of().parseHex(text));
            case "DATE" -> statement.setDate(index, Date.valueOf(text));
            // The driver sends what the time's own instant is on its day, 1970-01-01.
            case "TIME" -> statement.setTime(index, new Time(LocalTime.parse(text).toNanoOfDay() / 1_000_000));
            case "TIMESTAMP" -> statement.setTimestamp(index, Timestamp.valueOf(LocalDateTime.parse(text)));
            case "TIMESTAMP WITH TIME ZONE" -> statement.setTimestamp(index, Timestamp.from(Instant.parse(text)),
                Calendar.getInstance(TimeZone.getTimeZone("UTC")));
            case "LIST" -> statement.setObject(index, numbers(text(row, "sql_type"), text));
            default -> throw new AssertionError("no setter is known for `" + family + "`");
        }
    }

    /** A JSON list of numbers, as values of the list's own type. */
    private static List<Object> numbers(String sqlType, String text) {
        List<Object> found = new ArrayList<>();
        for (String number : text.substring(1, text.length() - 1).split(", ")) {
            if (number.equals("null")) {
                found.add(null);
            } else if (!number.isEmpty()) {
                found.add(sqlType.startsWith("DOUBLE") ? (Object) Double.valueOf(number) : Long.valueOf(number));
            }
        }
        return found;
    }

    private static void same(String path, Map<String, Object> row, ResultSet result) throws SQLException {
        String what = text(row, "name") + " by " + path;
        String text = text(row, "text");
        if (text == null) {
            Check.same(what, result.getString(1), null);
            Check.that(what + " was NULL", result.wasNull());
            return;
        }
        String family = family(text(row, "sql_type"));
        Object found = switch (family) {
            case "BOOLEAN" -> result.getBoolean(1);
            case "TINYINT" -> result.getByte(1);
            case "SMALLINT" -> result.getShort(1);
            case "INT" -> result.getInt(1);
            case "BIGINT" -> result.getLong(1);
            case "REAL" -> result.getFloat(1);
            case "DOUBLE" -> result.getDouble(1);
            case "DECIMAL" -> result.getBigDecimal(1);
            case "BINARY" -> result.getBytes(1);
            case "TIME" -> result.getTime(1).getTime();
            case "TIMESTAMP" -> result.getObject(1, LocalDateTime.class);
            case "TIMESTAMP WITH TIME ZONE" -> result.getObject(1, Instant.class);
            default -> result.getString(1);
        };
        Check.that(what + " was not NULL", !result.wasNull());
        Check.same(what, found, expected(family, text));
    }

    private static Object expected(String family, String text) {
        return switch (family) {
            case "BOOLEAN" -> Boolean.valueOf(text);
            case "TINYINT" -> Byte.valueOf(text);
            case "SMALLINT" -> Short.valueOf(text);
            case "INT" -> Integer.valueOf(text);
            case "BIGINT" -> Long.valueOf(text);
            // Boxed numbers are equal bit by bit: NaN is itself, and 0.0 is not -0.0.
            case "REAL" -> Float.valueOf(text);
            case "DOUBLE" -> Double.valueOf(text);
            case "DECIMAL" -> new BigDecimal(text);
            case "BINARY" -> HexFormat.of().parseHex(text);
            // A `java.sql.Time` has milliseconds; the driver cuts the others off.
            case "TIME" -> LocalTime.parse(text).toNanoOfDay() / 1_000_000;
            case "TIMESTAMP" -> LocalDateTime.parse(text);
            case "TIMESTAMP WITH TIME ZONE" -> Instant.parse(text);
            case "INTERVAL" -> interval(text);
            case "LIST", "STRUCT" -> compact(text);
            case "MAP" -> map(text);
            default -> text;
        };
    }

    /** Months, days and nanoseconds as the driver writes them, in ISO 8601. */
    private static String interval(String text) {
        String[] parts = text.replaceAll("[\\[\\] ]", "").split(",");
        Period period = Period.of(0, Integer.parseInt(parts[0]), Integer.parseInt(parts[1]));
        return period + Duration.ofNanos(Long.parseLong(parts[2])).toString().substring(1);
    }

    /** The driver's JSON has no blanks, and leaves out fields of a struct that are NULL. */
    private static String compact(String text) {
        String dense = text.replace(", ", ",").replace(": ", ":");
        return dense.replaceAll("\"\\w+\":null,?", "").replace(",}", "}");
    }

    /** Pairs become an object. */
    private static String map(String text) {
        return "{" + compact(text).replaceAll("\\[(\"[^\"]*\"),([^\\]]*)\\]", "$1:$2").replaceAll("^\\[|\\]$", "") + "}";
    }
}
