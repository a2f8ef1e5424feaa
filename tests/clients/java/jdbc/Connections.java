import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Connections: what may stand in their addresses, what closing them means, and many of them at once. */
public final class Connections {
    private static final int THREADS = 16;
    private static final int ROUNDS = 10;

    private Connections() {
    }

    public static void main(String[] arguments) {
        Check.program(() -> run(arguments));
    }

    private static void run(String[] arguments) throws Exception {
        String url = arguments[0];
        addresses(url);
        closing(url);
        sessions(url);
        manyAtOnce(url);
        sharedByThreads(url);
    }

    private static void addresses(String url) throws SQLException {
        try (Connection connection = Check.connect(url)) {
            Check.same("is valid", connection.isValid(5), true);
            Check.same("is open", connection.isClosed(), false);
            Check.same("commits by itself", connection.getAutoCommit(), true);
            Check.same("isolation", connection.getTransactionIsolation(), Connection.TRANSACTION_NONE);
        }
        // What the driver does not know becomes a header, which the server leaves alone.
        try (Connection connection = Check.connect(url + "&database=main&x-team=forecast&retainAuth=true")) {
            Check.same("with unknown properties", Check.one(connection, "SELECT 1"), 1L);
        }
        Properties properties = new Properties();
        properties.setProperty("x-request-source", "tests");
        try (Connection connection = java.sql.DriverManager.getConnection(url, properties)) {
            Check.same("with properties", Check.one(connection, "SELECT 1"), 1L);
        }
        Check.refused("a port where nobody listens",
            () -> Check.connect("jdbc:arrow-flight-sql://127.0.0.1:1?useEncryption=false&user=a&password=b").close());
        Check.refused("encryption where there is none",
            () -> Check.connect(url.replace("useEncryption=false", "useEncryption=true&user=a&password=b")).close());
    }

    private static void closing(String url) throws SQLException {
        Connection connection = Check.connect(url);
        Statement statement = connection.createStatement();
        // The driver fails to close a connection whose result is still being read, so that is closed first.
        try (ResultSet result = statement.executeQuery("SELECT value FROM generate_series(1, 1000000)")) {
            Check.that("there is a row", result.next());
        }
        PreparedStatement prepared = connection.prepareStatement("SELECT 1");
        connection.close();
        Check.same("is closed", connection.isClosed(), true);
        Check.same("is not valid", connection.isValid(1), false);
        Check.refused("a statement of a closed connection", connection::createStatement);
        Check.refused("a query of a closed connection", () -> statement.executeQuery("SELECT 1"));
        Check.refused("a prepared query of a closed connection", prepared::executeQuery);
        connection.close();

        // A statement that is closed twice, or by its connection, is closed.
        try (Connection other = Check.connect(url)) {
            PreparedStatement twice = other.prepareStatement("SELECT 1");
            twice.executeQuery().close();
            twice.close();
            twice.close();
            Check.same("the connection goes on", Check.one(other, "SELECT 2"), 2L);
        }
    }

    /** A setting holds for the connection that made it, and for no other one. */
    private static void sessions(String url) throws SQLException {
        try (Connection one = Check.connect(url); Connection two = Check.connect(url)) {
            Check.update(one, "CREATE SCHEMA apart");
            Check.update(one, "CREATE TABLE apart.t AS SELECT 1 AS x");
            Check.update(one, "USE apart");
            Check.same("the schema in use", Check.one(one, "SELECT x FROM t"), 1L);
            Check.refusedWith("another connection's schema", "unknown table", () -> Check.one(two, "SELECT x FROM t"));
        }
    }

    private static void manyAtOnce(String url) throws Exception {
        List<Callable<Long>> work = new ArrayList<>();
        for (int thread = 0; thread < THREADS; thread++) {
            String table = "many_" + thread;
            long expected = thread;
            work.add(() -> {
                try (Connection connection = Check.connect(url)) {
                    Check.update(connection, "CREATE TABLE " + table + " (n BIGINT)");
                    for (int round = 0; round < 2; round++) {
                        Check.update(connection, "INSERT INTO " + table + " VALUES (" + expected + ")");
                    }
                    for (int round = 0; round < ROUNDS; round++) {
                        Check.same("of thread " + expected,
                            Check.one(connection, "SELECT sum(n) FROM " + table), 2 * expected);
                    }
                    return Check.one(connection, "SELECT sum(value) FROM generate_series(1, 100000)") instanceof Long sum
                        ? sum : -1L;
                }
            });
        }
        all("connections at once", work, 100_000L * 100_001 / 2);
    }

    /**
     * The driver serves several threads by one connection, each with a statement of its own. They are prepared one after
     * the other: Avatica counts a connection's statements without a lock (MetaImpl.createStatement), so that two threads
     * that prepare at once may get one number, and each other's parameters.
     */
    private static void sharedByThreads(String url) throws Exception {
        try (Connection connection = Check.connect(url)) {
            List<Callable<Long>> work = new ArrayList<>();
            for (int thread = 0; thread < THREADS; thread++) {
                long own = thread;
                PreparedStatement prepared = connection.prepareStatement("SELECT CAST(? AS BIGINT) * 2 AS x");
                work.add(() -> {
                    try (PreparedStatement statement = prepared) {
                        for (int round = 0; round < ROUNDS; round++) {
                            statement.setLong(1, own * 1000 + round);
                            try (ResultSet result = statement.executeQuery()) {
                                result.next();
                                Check.same("of thread " + own, result.getLong(1), 2 * (own * 1000 + round));
                            }
                        }
                    }
                    return 1L;
                });
            }
            all("threads of one connection", work, 1L);
        }
    }

    private static void all(String what, List<Callable<Long>> work, long expected) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(work.size());
        try {
            for (Future<Long> done : threads.invokeAll(work)) {
                Check.same(what, done.get(), expected);
            }
        } finally {
            threads.shutdownNow();
        }
    }
}
