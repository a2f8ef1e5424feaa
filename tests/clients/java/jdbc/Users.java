import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;

/** Every way in which a Java program says who it is, on a server with users. Arguments: the address, a token of `ada`. */
public final class Users {
    private static final String USER = "ada";
    private static final String PASSWORD = "correct:horse";

    private Users() {
    }

    public static void main(String[] arguments) {
        Check.program(() -> run(arguments[0], arguments[1]));
    }

    private static Connection connect(String url, String... pairs) throws SQLException {
        Properties properties = new Properties();
        for (int i = 0; i < pairs.length; i += 2) {
            properties.setProperty(pairs[i], pairs[i + 1]);
        }
        return DriverManager.getConnection(url, properties);
    }

    private static void run(String url, String token) throws Exception {
        try (Connection one = connect(url, "user", USER, "password", PASSWORD);
                Connection two = connect(url, "user", USER, "password", PASSWORD);
                Connection three = connect(url, "token", token)) {
            for (Connection connection : new Connection[] {one, two, three}) {
                Check.same("who", Check.one(connection, "SELECT current_user"), USER);
                Check.same("the product", connection.getMetaData().getDatabaseProductName(), "Limn");
            }
            // Each has a session of its own, which lasts from call to call.
            Check.update(one, "CREATE SCHEMA apart");
            Check.update(one, "USE apart");
            Check.update(one, "CREATE TABLE t AS SELECT 1 AS x");
            Check.same("in its session", Check.one(one, "SELECT x FROM t"), 1L);
            for (Connection other : new Connection[] {two, three}) {
                Check.refusedWith("another session's schema", "unknown table", () -> Check.one(other, "SELECT x FROM t"));
            }
            Check.update(three, "USE apart");
            Check.same("a token's session", Check.one(three, "SELECT x FROM t"), 1L);
        }
        refuses("a wrong password", url, "user", USER, "password", "correct");
        refuses("nobody", url, "user", "eve", "password", PASSWORD);
        refuses("a forged token", url, "token", token.substring(0, token.length() - 4) + "0000");
        refuses("no name at all", url);
    }

    private static void refuses(String what, String url, String... pairs) throws Exception {
        String text = Check.refused(what, () -> {
            // Without credentials the driver asks nobody before the first statement.
            Connection connection = connect(url, pairs);
            Check.one(connection, "SELECT 1");
        });
        Check.that(what + " is told why, found `" + text + "`", text.contains("credentials"));
    }
}
