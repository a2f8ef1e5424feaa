import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * What Java programs and DBeaver ask of a server besides queries, through the stock JDBC driver.
 *
 * <p>It fails with the first thing that is not as expected, and prints nothing otherwise.
 */
public final class Surface {
    private Surface() {
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            statements(connection);
            catalog(connection.getMetaData());
            errors(connection);
        }
    }

    private static void expect(Object found, Object expected) {
        if (!expected.equals(found)) {
            throw new AssertionError("expected `" + expected + "`, found `" + found + "`");
        }
    }

    private static void statements(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("CREATE TABLE meters (site TEXT, at TIMESTAMP WITH TIME ZONE, kwh DOUBLE, n INT)");
            expect(statement.executeUpdate("INSERT INTO meters (site, n) VALUES ('a', 1), ('b', 2)"), 2);
            expect(statement.execute("INSERT INTO meters (site, n) VALUES ('c', 3)"), false);
            expect(statement.execute("SELECT count(*) FROM meters"), true);
            try (ResultSet result = statement.getResultSet()) {
                result.next();
                expect(result.getLong(1), 3L);
            }
        }
        Instant at = Instant.parse("2014-01-01T00:30:00Z");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO meters VALUES (?, ?, ?, ?)")) {
            insert.setString(1, "ü");
            insert.setTimestamp(2, Timestamp.from(at));
            insert.setDouble(3, 1.5);
            insert.setInt(4, 4);
            expect(insert.executeUpdate(), 1);
            // The same statement again, with another value.
            insert.setInt(4, 5);
            expect(insert.executeUpdate(), 1);
        }
        try (PreparedStatement select =
                connection.prepareStatement("SELECT site, at, kwh, n FROM meters WHERE n >= ? ORDER BY n")) {
            select.setInt(1, 4);
            for (int round = 0; round < 2; round++) {
                try (ResultSet result = select.executeQuery()) {
                    ResultSetMetaData metaData = result.getMetaData();
                    expect(metaData.getColumnCount(), 4);
                    expect(metaData.getColumnLabel(3), "kwh");
                    expect(result.next(), true);
                    expect(result.getString(1), "ü");
                    expect(result.getTimestamp(2).toInstant(), at);
                    expect(result.getDouble(3), 1.5);
                    expect(result.next(), true);
                    expect(result.getInt(4), 5);
                    expect(result.next(), false);
                }
            }
        }
    }

    private static void catalog(DatabaseMetaData metaData) throws SQLException {
        expect(metaData.getDatabaseProductName(), "Limn");
        expect(metaData.getIdentifierQuoteString(), "\"");
        expect(strings(metaData.getCatalogs(), "TABLE_CAT"), List.of("lake"));
        List<String> schemas = strings(metaData.getSchemas(), "TABLE_SCHEM");
        expect(schemas.containsAll(List.of("main", "system", "information_schema")), true);
        expect(strings(metaData.getTables("lake", "main", "met%", null), "TABLE_NAME"), List.of("meters"));
        expect(strings(metaData.getColumns("lake", "main", "meters", "%"), "COLUMN_NAME"),
            List.of("site", "at", "kwh", "n"));
        expect(strings(metaData.getTableTypes(), "TABLE_TYPE").contains("VIEW"), true);
        strings(metaData.getPrimaryKeys("lake", "main", "meters"), "COLUMN_NAME");
        strings(metaData.getImportedKeys("lake", "main", "meters"), "PKCOLUMN_NAME");
        strings(metaData.getTypeInfo(), "TYPE_NAME");
        metaData.getSQLKeywords();
        metaData.supportsTransactions();
        metaData.getMaxStatementLength();
    }

    private static List<String> strings(ResultSet result, String column) throws SQLException {
        List<String> found = new ArrayList<>();
        try (result) {
            while (result.next()) {
                found.add(result.getString(column));
            }
        }
        return found;
    }

    private static void errors(Connection connection) throws SQLException {
        refused(connection, "SELECT * FROM metres", "unknown table `main.metres`, the nearest is `main.meters`");
        refused(connection, "CALL meters()", "`CALL` is not supported yet");
        refused(connection, "INSERT INTO meters (nn) VALUES (1)", "unknown column `nn`");
        try (Statement statement = connection.createStatement();
                ResultSet result = statement.executeQuery("SELECT count(*) FROM meters")) {
            result.next();
            expect(result.getLong(1), 5L);
        }
    }

    private static void refused(Connection connection, String sql, String text) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        } catch (SQLException error) {
            if (error.getMessage().contains(text)) {
                return;
            }
            throw new AssertionError("expected `" + text + "`, found `" + error.getMessage() + "`", error);
        }
        throw new AssertionError("expected an error: " + sql);
    }
}
