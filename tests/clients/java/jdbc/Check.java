import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.logging.LogManager;

/** What the programs beside it say their expectations with. The first one that does not hold ends the program. */
final class Check {
    private Check() {
    }

    /** A program that takes longer than this hangs. */
    private static final long DEADLINE_SECONDS = 300;

    /** Runs a program and ends the process, whatever threads it has left: 0, or 1 after the failure on stderr. */
    static void program(Action action) {
        Thread watch = new Thread(() -> {
            try {
                TimeUnit.SECONDS.sleep(DEADLINE_SECONDS);
            } catch (InterruptedException end) {
                return;
            }
            System.err.println("the program still runs after " + DEADLINE_SECONDS + " seconds, in:");
            Thread.getAllStackTraces().forEach(
                (thread, stack) -> System.err.println(thread + ": " + Arrays.toString(stack)));
            Runtime.getRuntime().halt(1);
        });
        // The driver logs what it also throws, and its own start.
        LogManager.getLogManager().reset();
        watch.setDaemon(true);
        watch.start();
        int status = 0;
        try {
            action.run();
        } catch (Throwable failure) {
            failure.printStackTrace();
            status = 1;
        }
        // Not `exit`: the driver's own threads may keep it waiting.
        System.err.flush();
        System.out.flush();
        Runtime.getRuntime().halt(status);
    }

    /** Something that may fail as the driver does. */
    interface Action {
        void run() throws Exception;
    }

    /** One value, computed as the driver does. */
    interface Value {
        Object get() throws Exception;
    }

    static void same(String what, Object found, Object expected) {
        if (!Objects.deepEquals(expected, found)) {
            throw new AssertionError(what + ": expected " + shown(expected) + ", found " + shown(found));
        }
    }

    static void that(String what, boolean holds) {
        if (!holds) {
            throw new AssertionError("expected that " + what);
        }
    }

    /** The text of the error with which something is refused; the texts of its causes are part of it. */
    static String refused(String what, Action action) {
        try {
            action.run();
        } catch (Exception error) {
            StringBuilder text = new StringBuilder();
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                text.append(cause.getMessage()).append('\n');
            }
            return text.toString();
        }
        throw new AssertionError(what + ": expected an error, found none");
    }

    /** An error of the driver's own class, whose text says why. */
    static void refusedWith(String what, String reason, Action action) {
        String text = refused(what, action);
        that(what + " is refused with `" + reason + "`, found `" + text + "`", text.contains(reason));
    }

    static Connection connect(String url) throws SQLException {
        return DriverManager.getConnection(url);
    }

    static int update(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return statement.executeUpdate(sql);
        }
    }

    /** The only value of a query. */
    static Object one(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            that("`" + sql + "` has a row", result.next());
            Object value = result.getObject(1);
            that("`" + sql + "` has one row", !result.next());
            return value;
        }
    }

    /** The named columns of all rows, as texts; a NULL is a Java null. */
    static List<List<String>> rows(ResultSet result, String... columns) throws SQLException {
        List<List<String>> rows = new ArrayList<>();
        try (result) {
            while (result.next()) {
                List<String> row = new ArrayList<>();
                for (String column : columns) {
                    row.add(result.getString(column));
                }
                rows.add(row);
            }
        }
        return rows;
    }

    /** One column of all rows. */
    static List<String> strings(ResultSet result, String column) throws SQLException {
        List<String> found = new ArrayList<>();
        for (List<String> row : rows(result, column)) {
            found.add(row.get(0));
        }
        return found;
    }

    private static String shown(Object value) {
        if (value instanceof Object[] array) {
            return "`" + Arrays.deepToString(array) + "`";
        }
        if (value instanceof byte[] bytes) {
            return "`" + Arrays.toString(bytes) + "`";
        }
        return "`" + value + "`" + (value == null ? "" : " (" + value.getClass().getSimpleName() + ")");
    }
}
