package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import org.junit.jupiter.api.Test;

/** The test of docs/control.md, with nothing but the JDK's client. */
class ControlTest {
    static final World world = World.read();
    static final HttpClient http = HttpClient.newHttpClient();

    static HttpResponse<String> call(String method, String url, String token, String body) throws IOException, InterruptedException {
        return http.send(HttpRequest.newBuilder(URI.create(url))
                .header("Authorization", "Bearer " + token).header("Content-Type", "application/json")
                .method(method, BodyPublishers.ofString(body)).build(), BodyHandlers.ofString());
    }

    static void control(String method, String path, String body) throws IOException, InterruptedException {
        HttpResponse<String> response = call(method, world.admin_url + "/admin/" + path, world.admin_token, body);
        assertTrue(response.statusCode() < 300, response.body());
    }

    static HttpResponse<String> like() throws IOException, InterruptedException {
        World.User alice = world.user("alice");
        return call("POST", world.url + "/2/users/" + alice.id + "/likes", alice.access_token,
                "{\"tweet_id\":\"" + world.posts.get(0).id + "\"}");
    }

    @Test
    void waitsUntilTheLimitResets() throws Exception {
        control("PUT", "clock", "{\"frozen\":true}");
        try {
            control("DELETE", "requests", "");
            control("POST", "faults", "{\"match\":{\"operation\":\"usersIdLike\"},\"do\":{\"reset_in\":\"15m\"}}");

            assertEquals(429, like().statusCode());
            control("POST", "clock/advance", "{\"by\":\"15m\"}");
            HttpResponse<String> liked = like();
            assertEquals(200, liked.statusCode());
            assertEquals("{\"data\":{\"liked\":true}}", liked.body());

            control("POST", "verify", "{\"match\":{\"operation\":\"usersIdLike\",\"status\":200},\"exactly\":1}");
        } finally {
            control("PUT", "clock", "{\"frozen\":false}");
        }
    }
}
