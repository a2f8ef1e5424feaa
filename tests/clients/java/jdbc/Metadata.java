import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLFeatureNotSupportedException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** What DBeaver, Tableau and other tools ask before and while they browse. */
public final class Metadata {
    /** Getters that the driver itself has not written: it fails in them before it asks the server. */
    private static final Set<String> UNWRITTEN = Set.of(
        "deletesAreDetected", "insertsAreDetected", "updatesAreDetected", "othersDeletesAreVisible",
        "othersInsertsAreVisible", "othersUpdatesAreVisible", "ownDeletesAreVisible", "ownInsertsAreVisible",
        "ownUpdatesAreVisible", "supportsResultSetHoldability");

    private Metadata() {
    }

    public static void main(String[] arguments) {
        Check.program(() -> run(arguments));
    }

    private static void run(String[] arguments) throws Exception {
        try (Connection connection = Check.connect(arguments[0])) {
            create(connection);
            DatabaseMetaData metaData = connection.getMetaData();
            everyMethodAnswers(metaData);
            whatTheServerSaysOfItself(metaData);
            catalogsAndSchemas(metaData);
            tables(metaData);
            columns(metaData);
            keysAndIndexes(metaData);
            resultColumns(connection);
            currentCatalog(connection);
            Check.update(connection, "DROP VIEW metadata_view");
            Check.update(connection, "DROP SCHEMA sales CASCADE");
        }
        catalogOfTheAddress(arguments[0]);
    }

    private static void create(Connection connection) throws SQLException {
        Check.update(connection, """
            CREATE TABLE all_types (
              flag BOOLEAN NOT NULL, tiny TINYINT, small SMALLINT, number INT, big BIGINT, "real" REAL, "double" DOUBLE,
              amount DECIMAL(12,3), name TEXT, bytes BINARY, day DATE, at TIMESTAMP, instant TIMESTAMP WITH TIME ZONE,
              list BIGINT[], pair STRUCT<a BIGINT, b TEXT>, labels MAP(TEXT, BIGINT))""");
        Check.update(connection, "CREATE TABLE a_b (x BIGINT)");
        Check.update(connection, "CREATE TABLE axb (x BIGINT)");
        Check.update(connection, "CREATE TABLE \"Mixed Case\" (\"A_Column\" BIGINT)");
        Check.update(connection, "CREATE SCHEMA sales");
        Check.update(connection, "CREATE TABLE sales.a_b (y BIGINT)");
        Check.update(connection, "CREATE VIEW metadata_view AS SELECT x FROM a_b");
    }

    /** Every method of the interface, with arguments that filter nothing. */
    private static void everyMethodAnswers(DatabaseMetaData metaData) throws Exception {
        Method[] methods = DatabaseMetaData.class.getDeclaredMethods();
        Arrays.sort(methods, Comparator.comparing(Method::toString));
        Set<String> failed = new TreeSet<>();
        for (Method method : methods) {
            try {
                if (method.invoke(metaData, arguments(method)) instanceof ResultSet result) {
                    while (result.next()) {
                        result.getObject(1);
                    }
                    result.getMetaData().getColumnCount();
                    result.close();
                }
            } catch (InvocationTargetException error) {
                boolean refused = error.getCause() instanceof SQLFeatureNotSupportedException;
                if (!refused && !UNWRITTEN.contains(method.getName())) {
                    failed.add(method.getName() + ": " + error.getCause());
                }
            }
        }
        Check.same("methods that fail", failed, Set.of());
    }

    private static Object[] arguments(Method method) {
        Object[] arguments = new Object[method.getParameterCount()];
        for (int i = 0; i < arguments.length; i++) {
            Class<?> type = method.getParameterTypes()[i];
            if (type == int.class) {
                // A value of both ResultSet's types and Connection's isolation levels would be a coincidence.
                arguments[i] = method.getName().startsWith("supportsResultSet") ? ResultSet.TYPE_FORWARD_ONLY : 1;
                if (method.getName().equals("supportsResultSetConcurrency") && i == 1) {
                    arguments[i] = ResultSet.CONCUR_READ_ONLY;
                }
            } else if (type == boolean.class) {
                arguments[i] = false;
            } else if (type == String.class && method.getName().matches(".*(Keys|CrossReference)")) {
                // Keys are of a table; everything else may be asked of all.
                arguments[i] = "axb";
            }
        }
        return arguments;
    }

    private static void whatTheServerSaysOfItself(DatabaseMetaData metaData) throws SQLException {
        Check.same("product", metaData.getDatabaseProductName(), "Limn");
        Check.that("the version has numbers", metaData.getDatabaseProductVersion().matches("\\d+\\.\\d+\\.\\d+.*"));
        Check.same("quote", metaData.getIdentifierQuoteString(), "\"");
        Check.same("escape", metaData.getSearchStringEscape(), "\\");
        Check.same("catalog separator", metaData.getCatalogSeparator(), ".");
        Check.same("catalog term", metaData.getCatalogTerm(), "catalog");
        Check.same("schema term", metaData.getSchemaTerm(), "schema");
        Check.same("catalog first", metaData.isCatalogAtStart(), true);
        Check.same("read only", metaData.isReadOnly(), false);
        Check.same("transactions", metaData.supportsTransactions(), false);
        Check.same("isolation", metaData.getDefaultTransactionIsolation(), Connection.TRANSACTION_NONE);
        Check.same("no isolation", metaData.supportsTransactionIsolationLevel(Connection.TRANSACTION_NONE), true);
        Check.same("serializable",
            metaData.supportsTransactionIsolationLevel(Connection.TRANSACTION_SERIALIZABLE), false);
        Check.same("batches", metaData.supportsBatchUpdates(), true);
        Check.same("savepoints", metaData.supportsSavepoints(), false);
        Check.same("procedures", metaData.supportsStoredProcedures(), false);
        Check.same("forward only", metaData.supportsResultSetType(ResultSet.TYPE_FORWARD_ONLY), true);
        Check.same("scrolling", metaData.supportsResultSetType(ResultSet.TYPE_SCROLL_INSENSITIVE), false);
        Check.same("outer joins", metaData.supportsFullOuterJoins(), true);
        Check.same("GROUP BY", metaData.supportsGroupByUnrelated(), true);
        Check.same("ORDER BY", metaData.supportsOrderByUnrelated(), true);
        Check.same("UNION ALL", metaData.supportsUnionAll(), true);
        Check.same("correlated subqueries", metaData.supportsCorrelatedSubqueries(), true);
        Check.same("IN (subquery)", metaData.supportsSubqueriesInIns(), true);
        Check.same("LIKE ESCAPE", metaData.supportsLikeEscapeClause(), true);
        Check.same("column aliases", metaData.supportsColumnAliasing(), true);
        Check.same("NULL plus one", metaData.nullPlusNonNullIsNull(), true);
        Check.same("NOT NULL columns", metaData.supportsNonNullableColumns(), true);
        Check.same("schemas in queries", metaData.supportsSchemasInDataManipulation(), true);
        Check.same("catalogs in queries", metaData.supportsCatalogsInDataManipulation(), true);
        Check.that("TRAIN is a keyword", List.of(metaData.getSQLKeywords().split(", ")).contains("TRAIN"));
        Check.that("SQRT is a function", List.of(metaData.getNumericFunctions().split(", ")).contains("SQRT"));
        Check.that("UPPER is a function", List.of(metaData.getStringFunctions().split(", ")).contains("UPPER"));
        Check.that("NOW is a function", List.of(metaData.getTimeDateFunctions().split(", ")).contains("NOW"));
        Check.that("PREDICT is a function", List.of(metaData.getSystemFunctions().split(", ")).contains("PREDICT"));
        Check.that("statements have a limit", metaData.getMaxStatementLength() >= 1024 * 1024);
    }

    private static void catalogsAndSchemas(DatabaseMetaData metaData) throws SQLException {
        Check.same("catalogs", Check.strings(metaData.getCatalogs(), "TABLE_CAT"), List.of("lake"));
        List<List<String>> all = List.of(
            List.of("information_schema", "lake"), List.of("main", "lake"), List.of("sales", "lake"),
            List.of("system", "lake"));
        Check.same("schemas", Check.rows(metaData.getSchemas(), "TABLE_SCHEM", "TABLE_CATALOG"), all);
        Check.same("schemas of lake",
            Check.rows(metaData.getSchemas("lake", null), "TABLE_SCHEM", "TABLE_CATALOG"), all);
        Check.same("schemas like sal%", Check.strings(metaData.getSchemas("lake", "sal%"), "TABLE_SCHEM"),
            List.of("sales"));
        Check.same("schemas of no catalog", Check.strings(metaData.getSchemas("nowhere", "%"), "TABLE_SCHEM"),
            List.of());
        Check.same("schemas without a catalog", Check.strings(metaData.getSchemas("", "%"), "TABLE_SCHEM"), List.of());
        Check.same("table types", Check.strings(metaData.getTableTypes(), "TABLE_TYPE"),
            List.of("LOCAL TEMPORARY", "SYSTEM TABLE", "TABLE", "VIEW"));
    }

    private static void tables(DatabaseMetaData metaData) throws SQLException {
        ResultSet shape = metaData.getTables(null, null, "%", null);
        Check.same("columns of getTables", labels(shape), List.of("TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME",
            "TABLE_TYPE", "REMARKS", "TYPE_CAT", "TYPE_SCHEM", "TYPE_NAME", "SELF_REFERENCING_COL_NAME",
            "REF_GENERATION"));
        shape.close();
        List<String> main = List.of("Mixed Case", "a_b", "all_types", "axb", "metadata_view");
        Check.same("of main", tables(metaData, "lake", "main", "%", (String[]) null), main);
        Check.same("without a catalog's name", tables(metaData, null, "main", null, (String[]) null), main);
        Check.same("no wildcard is escaped", tables(metaData, "lake", "main", "a\\_b"), List.of("a_b"));
        Check.same("a wildcard", tables(metaData, "lake", "main", "a_b"), List.of("a_b", "axb"));
        Check.same("in all schemas", tables(metaData, null, null, "a\\_b"), List.of("a_b", "a_b"));
        Check.same("by both patterns", tables(metaData, null, "s%", "a%b"), List.of("a_b"));
        Check.same("a name as it is", tables(metaData, "lake", "main", "Mixed Case"), List.of("Mixed Case"));
        Check.same("a name in another case", tables(metaData, "lake", "main", "MIXED%"), List.of());
        Check.same("only tables", tables(metaData, "lake", "main", "%", "TABLE"),
            List.of("Mixed Case", "a_b", "all_types", "axb"));
        Check.same("base tables", tables(metaData, "lake", "main", "%", "BASE TABLE"),
            List.of("Mixed Case", "a_b", "all_types", "axb"));
        Check.same("only views", tables(metaData, "lake", "main", "%", "VIEW"), List.of("metadata_view"));
        Check.same("tables and views", tables(metaData, "lake", "main", "%", "TABLE", "VIEW"), main);
        Check.same("synonyms", tables(metaData, "lake", null, "%", "SYNONYM", "ALIAS"), List.of());
        Check.that("system tables are listed",
            tables(metaData, "lake", "system", "%", "SYSTEM TABLE").containsAll(List.of("models", "runs")));
        Check.that("the information schema has views",
            tables(metaData, "lake", "information_schema", "%", "VIEW").containsAll(List.of("columns", "tables")));
        Check.same("another catalog", tables(metaData, "nowhere", null, "%"), List.of());
        Check.same("the type of a view",
            Check.rows(metaData.getTables(null, null, "metadata_view", null), "TABLE_CAT", "TABLE_SCHEM", "TABLE_TYPE"),
            List.of(List.of("lake", "main", "VIEW")));
    }

    private static List<String> tables(DatabaseMetaData metaData, String catalog, String schema, String name,
            String... types) throws SQLException {
        String[] wanted = types == null || types.length == 0 ? null : types;
        return Check.strings(metaData.getTables(catalog, schema, name, wanted), "TABLE_NAME");
    }

    private static void columns(DatabaseMetaData metaData) throws SQLException {
        ResultSet shape = metaData.getColumns("lake", "main", "a\\_b", "%");
        Check.same("columns of getColumns", labels(shape), List.of("TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME",
            "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "BUFFER_LENGTH", "DECIMAL_DIGITS",
            "NUM_PREC_RADIX", "NULLABLE", "REMARKS", "COLUMN_DEF", "SQL_DATA_TYPE", "SQL_DATETIME_SUB",
            "CHAR_OCTET_LENGTH", "ORDINAL_POSITION", "IS_NULLABLE", "SCOPE_CATALOG", "SCOPE_SCHEMA", "SCOPE_TABLE",
            "SOURCE_DATA_TYPE", "IS_AUTOINCREMENT", "IS_GENERATEDCOLUMN"));
        shape.close();
        List<List<String>> expected = new ArrayList<>();
        String[][] columns = {
            // name, java.sql.Types, type name, digits, digits after the point, nullable
            {"flag", "16", "BOOLEAN", null, null, "NO"},
            {"tiny", "-6", "TINYINT", "3", "0", "YES"},
            {"small", "5", "SMALLINT", "5", "0", "YES"},
            {"number", "4", "INT", "10", "0", "YES"},
            {"big", "-5", "BIGINT", "19", "0", "YES"},
            {"real", "6", "REAL", null, null, "YES"},
            {"double", "8", "DOUBLE", null, null, "YES"},
            {"amount", "3", "DECIMAL", "12", "3", "YES"},
            {"name", "12", "TEXT", "65536", null, "YES"},
            {"bytes", "-3", "BINARY", "65536", null, "YES"},
            {"day", "91", "DATE", "10", "0", "YES"},
            {"at", "93", "TIMESTAMP", "26", "6", "YES"},
            {"instant", "2014", "TIMESTAMP WITH TIME ZONE", "26", "6", "YES"},
            {"list", "2003", "BIGINT[]", null, null, "YES"},
            {"pair", "2000", "STRUCT<a BIGINT, b TEXT>", null, null, "YES"},
            {"labels", "2000", "MAP(TEXT, BIGINT)", null, null, "YES"},
        };
        int position = 0;
        for (String[] column : columns) {
            position++;
            List<String> row = new ArrayList<>(Arrays.asList(column));
            row.add(String.valueOf(position));
            row.add("NO");
            expected.add(row);
        }
        List<List<String>> found = Check.rows(metaData.getColumns("lake", "main", "all\\_types", "%"), "COLUMN_NAME",
            "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "IS_NULLABLE", "ORDINAL_POSITION",
            "IS_AUTOINCREMENT");
        for (int i = 0; i < Math.min(found.size(), expected.size()); i++) {
            Check.same("column " + (i + 1), found.get(i), expected.get(i));
        }
        Check.same("the number of columns", found.size(), expected.size());
        Check.same("columns by a pattern", names(metaData.getColumns("lake", "main", "all_types", "na%")),
            List.of("all_types.name"));
        Check.same("columns of a view", names(metaData.getColumns(null, "main", "metadata_view", null)),
            List.of("metadata_view.x"));
        Check.same("columns of all schemas", names(metaData.getColumns(null, "%", "a\\_b", "%")),
            List.of("a_b.x", "a_b.y"));
        Check.same("columns of several tables", names(metaData.getColumns("lake", "main", "a_b", "x")),
            List.of("a_b.x", "axb.x"));
        Check.same("a column as it is", names(metaData.getColumns("lake", "main", "Mixed Case", "A_Column")),
            List.of("Mixed Case.A_Column"));
        Check.that("system tables have columns",
            names(metaData.getColumns("lake", "system", "model\\_versions", "%")).contains("model_versions.version"));
        Check.that("the information schema has columns",
            names(metaData.getColumns("lake", "information_schema", "tables", "%")).contains("tables.table_name"));
        Check.same("columns of no table", names(metaData.getColumns("lake", "main", "nothing", "%")), List.of());
    }

    private static List<String> names(ResultSet columns) throws SQLException {
        List<String> names = new ArrayList<>();
        for (List<String> row : Check.rows(columns, "TABLE_NAME", "COLUMN_NAME")) {
            names.add(String.join(".", row));
        }
        return names;
    }

    private static void keysAndIndexes(DatabaseMetaData metaData) throws SQLException {
        // The driver shows no columns of a metadata result without rows, so there is nothing more to see in these.
        Map<String, ResultSet> empty = new TreeMap<>();
        empty.put("primary keys", metaData.getPrimaryKeys("lake", "main", "all_types"));
        empty.put("imported keys", metaData.getImportedKeys("lake", "main", "all_types"));
        empty.put("exported keys", metaData.getExportedKeys("lake", "main", "all_types"));
        empty.put("cross reference", metaData.getCrossReference("lake", "main", "a_b", "lake", "main", "axb"));
        for (Map.Entry<String, ResultSet> keys : empty.entrySet()) {
            Check.that("there are no " + keys.getKey(), !keys.getValue().next());
            keys.getValue().close();
        }
        Check.that("there are no indexes", !metaData.getIndexInfo("lake", "main", "all_types", false, true).next());
        Check.that("there is no best row", !metaData.getBestRowIdentifier("lake", "main", "all_types", 0, true).next());
        // The driver makes this one itself and leaves it empty; tools then go by the columns' own type names.
        metaData.getTypeInfo().close();
    }

    private static List<String> labels(ResultSet result) throws SQLException {
        List<String> labels = new ArrayList<>();
        ResultSetMetaData metaData = result.getMetaData();
        for (int i = 1; i <= metaData.getColumnCount(); i++) {
            labels.add(metaData.getColumnLabel(i));
        }
        return labels;
    }

    private static void resultColumns(Connection connection) throws SQLException {
        // Without rows the driver would show each column twice.
        Check.update(connection, "INSERT INTO all_types (flag) VALUES (true)");
        int driver = connection.getMetaData().getDriverMajorVersion();
        String sql = "SELECT flag, number, amount AS \"The Amount\", name, instant, count(*) OVER () AS n FROM all_types";
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            check(result.getMetaData(), driver);
            Check.that("there is a row", result.next());
        }
        // The same without a run: tools prepare a query to see its columns.
        try (PreparedStatement prepared = connection.prepareStatement(sql)) {
            check(prepared.getMetaData(), driver);
        }
        try (PreparedStatement prepared = connection.prepareStatement("SELECT * FROM a_b WHERE x > ? AND x < ?")) {
            Check.same("parameters", prepared.getParameterMetaData().getParameterCount(), 2);
            Check.same("a parameter's type", prepared.getParameterMetaData().getParameterType(1), Types.BIGINT);
        }
    }

    private static void check(ResultSetMetaData columns, int driver) throws SQLException {
        Object[][] expected = {
            // label, java.sql.Types, digits, digits after the point
            {"flag", Types.BOOLEAN, 0, 0},
            {"number", Types.INTEGER, 10, 0},
            {"The Amount", Types.DECIMAL, 12, 3},
            {"name", Types.VARCHAR, 0, 0},
            {"instant", Types.TIMESTAMP_WITH_TIMEZONE, 0, 0},
            {"n", Types.BIGINT, 19, 0},
        };
        Check.same("the number of result columns", columns.getColumnCount(), expected.length);
        for (int i = 1; i <= expected.length; i++) {
            Object[] found = {columns.getColumnLabel(i), columns.getColumnType(i), columns.getPrecision(i),
                columns.getScale(i)};
            Check.same("result column " + i, found, expected[i - 1]);
            Check.same("the name of result column " + i, columns.getColumnName(i), expected[i - 1][0]);
            Check.same("result column " + i + " counts up", columns.isAutoIncrement(i), false);
            Check.same("result column " + i + " is searchable", columns.isSearchable(i), true);
            Check.same("result column " + i + " minds the case", columns.isCaseSensitive(i),
                expected[i - 1][1].equals(Types.VARCHAR));
        }
        // A result says of all its columns that they may be NULL; driver 18 takes each for one that is not.
        for (int i = 1; i <= expected.length; i++) {
            Check.same("result column " + i + " may be NULL", columns.isNullable(i),
                driver >= 19 ? ResultSetMetaData.columnNullable : ResultSetMetaData.columnNoNulls);
        }
    }

    private static void currentCatalog(Connection connection) throws SQLException {
        connection.setCatalog("lake");
        Check.same("in the only catalog", Check.one(connection, "SELECT count(*) FROM lake.main.axb"), 0L);
        Check.same("the catalog", connection.getCatalog(), "lake");
    }

    private static void catalogOfTheAddress(String url) throws SQLException {
        // Not closed: driver 18.3 ends such a session twice, the second time on a connection that it has closed itself.
        Connection connection = Check.connect(url + "&catalog=lake");
        Check.same("with a catalog", Check.one(connection, "SELECT count(*) FROM axb"), 0L);
        Check.refusedWith("an address with another catalog", "unknown catalog `nowhere`",
            () -> Check.connect(url + "&catalog=nowhere").close());
    }
}
