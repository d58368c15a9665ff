package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.gson.Gson;
import com.twitter.clientlib.ApiException;
import com.twitter.clientlib.TwitterCredentialsOAuth2;
import com.twitter.clientlib.api.TwitterApi;
import com.twitter.clientlib.model.UsersLikesCreateRequest;
import com.twitter.clientlib.model.UsersLikesCreateResponse;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The example of X's reference page for POST /2/users/:id/likes, against the release of the SDK that it was written for. */
class PageTest {
    /** What this test reads of the file that {@code liked dev --credentials} wrote. */
    static class World {
        String url;
        List<User> users;
    }

    static class User {
        String id;
        String access_token;
    }

    private final TwitterApi apiInstance = new TwitterApi();

    /** The page's example, word for word between the two rulers. */
    private void example() {
        // ----------------------------------------------------------------------------------------------------------
        // Set the params values

        UsersLikesCreateRequest usersLikesCreateRequest = new UsersLikesCreateRequest();

        // String | The ID of the user that is requesting to like the tweet
        usersLikesCreateRequest.tweetId("1228393702244134912");

        // String | The ID of the user that is requesting to like the tweet
        String id = "2244994945";

        try {
            UsersLikesCreateResponse result = apiInstance.tweets().usersIdLike(usersLikesCreateRequest, id);
            System.out.println(result);
        } catch (ApiException e) {
            System.err.println("Exception when calling TweetsApi#usersIdLike");
            System.err.println("Status code: " + e.getCode());
            System.err.println("Reason: " + e.getResponseBody());
            System.err.println("Response headers: " + e.getResponseHeaders());
            e.printStackTrace();
        }
        // ----------------------------------------------------------------------------------------------------------
    }

    @Test
    void likesThePost() throws Exception {
        World world = new Gson().fromJson(Files.readString(Path.of(System.getenv("LIKED_CREDENTIALS"))), World.class);
        User user = world.users.stream().filter(u -> u.id.equals("2244994945")).findFirst().orElseThrow();
        apiInstance.setTwitterCredentials(new TwitterCredentialsOAuth2("client", "", user.access_token, ""));
        apiInstance.getApiClient().setBasePath(world.url);

        int before = likeCount();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        PrintStream stdout = System.out;
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        try {
            example();
        } finally {
            System.setOut(stdout);
        }
        assertEquals("""
            class UsersLikesCreateResponse {
                data: class UsersLikesCreateResponseData {
                    liked: true
                }
                errors: null
            }
            """, out.toString(StandardCharsets.UTF_8));
        assertEquals(before + 1, likeCount());

        // For the table in docs/clients.md.
        String line = new Gson().toJson(Map.of("client", "com.twitter:twitter-api-java-sdk", "from", "Maven", "version", "1.2.4",
            "did", "the reference page's example", "pointed", "`setBasePath`"));
        Path table = Path.of(System.getenv("LIKED_TEMP"), "clients.jsonl");
        Files.writeString(table, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    private int likeCount() throws ApiException {
        return apiInstance.tweets()
            .findTweetById("1228393702244134912", null, Set.of("public_metrics"), null, null, null, null)
            .getData().getPublicMetrics().getLikeCount();
    }
}
