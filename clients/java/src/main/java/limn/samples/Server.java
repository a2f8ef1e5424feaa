package limn.samples;

import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Where the samples find the server, and what they all do with it. */
final class Server {
    final String host;
    final int port;
    final boolean encrypted;

    private Server(URI address) {
        host = address.getHost();
        port = address.getPort();
        encrypted = "grpc+tls".equals(address.getScheme());
    }

    /** The server of `--url`; the one on this machine if there is none. */
    static Server of(String[] arguments) {
        String url = "grpc://127.0.0.1:50051";
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            if (arguments[i].equals("--url")) {
                url = arguments[i + 1];
            }
        }
        return new Server(URI.create(url));
    }

    /** A connection of the JDBC driver; its session ends with it. */
    Connection connect() throws SQLException {
        return DriverManager.getConnection(
            "jdbc:arrow-flight-sql://" + host + ":" + port + "?useEncryption=" + encrypted);
    }

    /** Runs a statement that changes something. */
    static void run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate(sql);
        }
    }

    /** The only row of a query. */
    static List<Object> row(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            result.next();
            List<Object> values = new ArrayList<>();
            for (int column = 1; column <= result.getMetaData().getColumnCount(); column++) {
                values.add(result.getObject(column));
            }
            return values;
        }
    }

    /** A JSON object of numbers and plain texts, in the order given. */
    static String json(List<Map.Entry<String, Object>> fields) {
        List<String> parts = new ArrayList<>();
        for (Map.Entry<String, Object> field : fields) {
            Object value = field.getValue();
            parts.add("\"" + field.getKey() + "\": " + (value instanceof Number ? value : "\"" + value + "\""));
        }
        return "{" + String.join(", ", parts) + "}";
    }

    /** What may fail in a sample. */
    interface Sample {
        void run(Server server) throws Exception;
    }

    /** Runs a sample; an error goes to standard error, with exit status 1. */
    static void main(String[] arguments, Sample sample) {
        try {
            sample.run(of(arguments));
        } catch (Exception error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
