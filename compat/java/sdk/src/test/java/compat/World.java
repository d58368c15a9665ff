package compat;

import com.google.gson.Gson;
import com.twitter.clientlib.TwitterCredentialsOAuth2;
import com.twitter.clientlib.api.TwitterApi;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;

/** What the tests read of the file that {@code liked dev --credentials} wrote. */
class World {
    String url;
    List<App> apps;
    List<User> users;
    List<Post> posts;

    static class App {
        String client_id;
        String client_secret;
        String bearer_token;
        List<String> redirect_uris;
    }

    static class User {
        String id;
        String username;
        String access_token;
    }

    static class Post {
        String id;
    }

    static World read() {
        try {
            return new Gson().fromJson(Files.readString(Path.of(env("LIKED_CREDENTIALS"))), World.class);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static String env(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            throw new IllegalStateException(name + " is not set: start these tests with go test ./compat");
        }
        return value;
    }

    User user(String username) {
        return users.stream().filter(u -> u.username.equals(username)).findFirst().orElseThrow();
    }

    /** The SDK with a token that it cannot renew. */
    TwitterApi with(String token) {
        return with(new TwitterCredentialsOAuth2(apps.get(0).client_id, apps.get(0).client_secret, token, ""));
    }

    /** The SDK with credentials. The base path goes in after the constructor, which overwrites it. */
    TwitterApi with(TwitterCredentialsOAuth2 credentials) {
        TwitterApi api = new TwitterApi(credentials);
        api.getApiClient().setBasePath(url);
        return api;
    }

    /**
     * Notes what the SDK did, for the table in docs/clients.md: the last line of a test, since the table has what works.
     */
    static void did(String what) throws IOException {
        String jar = Path.of(TwitterApi.class.getProtectionDomain().getCodeSource().getLocation().getPath()).getFileName().toString();
        String line = new Gson().toJson(Map.of("client", "com.twitter:twitter-api-java-sdk", "from", "Maven", "did", what,
            "version", jar.replaceAll("^twitter-api-java-sdk-|\\.jar$", ""),
            "pointed", "`setBasePath`; its sign-in through the proxy (`https.proxyHost`, a trust store)"));
        Files.writeString(Path.of(env("LIKED_TEMP"), "clients.jsonl"), line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }
}
