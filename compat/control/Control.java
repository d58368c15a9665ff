import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The test of docs/control.md, with nothing but the JDK. */
class Control {
    /** What stands in liked.json, as far as it is needed, without a library for JSON. */
    static class World {
        final String text;
        final String url, admin_url, admin_token, user, token, post;

        World(String text) {
            this.text = text;
            url = find("\"url\": \"([^\"]*)");
            admin_url = find("\"admin_url\": \"([^\"]*)");
            admin_token = find("\"admin_token\": \"([^\"]*)");
            user = find("\"id\": \"([0-9]+)\",\\s*\"username\": \"alice\"");
            token = find("\"username\": \"alice\"[^}]*\"access_token\": \"([^\"]*)");
            post = find("\"posts\": \\[\\s*\\{\\s*\"id\": \"([0-9]+)");
        }

        String find(String pattern) {
            Matcher m = Pattern.compile(pattern).matcher(text);
            check(m.find(), pattern);
            return m.group(1);
        }
    }

    static World world;
    static final HttpClient http = HttpClient.newHttpClient();

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static HttpResponse<String> call(String method, String url, String token, String body) throws IOException, InterruptedException {
        return http.send(HttpRequest.newBuilder(URI.create(url))
                .header("Authorization", "Bearer " + token).header("Content-Type", "application/json")
                .method(method, BodyPublishers.ofString(body)).build(), BodyHandlers.ofString());
    }

    static void control(String method, String path, String body) throws IOException, InterruptedException {
        HttpResponse<String> response = call(method, world.admin_url + "/admin/" + path, world.admin_token, body);
        check(response.statusCode() < 300, response.body());
    }

    static HttpResponse<String> like() throws IOException, InterruptedException {
        return call("POST", world.url + "/2/users/" + world.user + "/likes", world.token, "{\"tweet_id\":\"" + world.post + "\"}");
    }

    public static void main(String[] args) throws Exception {
        world = new World(Files.readString(Path.of(System.getenv("LIKED_CREDENTIALS"))));
        control("PUT", "clock", "{\"frozen\":true}");
        control("DELETE", "requests", "");
        control("POST", "faults", "{\"match\":{\"operation\":\"usersIdLike\"},\"do\":{\"reset_in\":\"15m\"}}");

        check(like().statusCode() == 429, "refused");
        control("POST", "clock/advance", "{\"by\":\"15m\"}");
        HttpResponse<String> liked = like();
        check(liked.statusCode() == 200 && liked.body().equals("{\"data\":{\"liked\":true}}"), liked.body());

        control("POST", "verify", "{\"match\":{\"operation\":\"usersIdLike\",\"status\":200},\"exactly\":1}");
    }
}
