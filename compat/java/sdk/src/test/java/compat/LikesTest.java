package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import com.twitter.clientlib.ApiException;
import com.twitter.clientlib.api.TwitterApi;
import com.twitter.clientlib.model.GenericProblem;
import com.twitter.clientlib.model.Get2TweetsIdResponse;
import com.twitter.clientlib.model.InvalidRequestProblem;
import com.twitter.clientlib.model.Problem;
import com.twitter.clientlib.model.ResourceNotFoundProblem;
import com.twitter.clientlib.model.UnsupportedAuthenticationProblem;
import com.twitter.clientlib.model.UsersLikesCreateRequest;
import com.twitter.clientlib.model.UsersLikesCreateResponse;
import com.twitter.clientlib.model.UsersLikesDeleteResponse;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Likes through X's own Java SDK. Each test has posts to itself, and the one that spends a window has a user to itself. */
class LikesTest {
    private static final String MISSING_POST = "1";

    private final World world = World.read();
    private final World.User alice = world.user("alice");
    private final World.User bob = world.user("bob");
    private final World.User dave = world.user("dave");

    private String post(int n) {
        return world.posts.get(n).id;
    }

    private int likeCount(String post) throws ApiException {
        return world.with(alice.access_token).tweets().findTweetById(post)
            .tweetFields(Set.of("public_metrics")).execute()
            .getData().getPublicMetrics().getLikeCount();
    }

    private static UsersLikesCreateResponse like(TwitterApi api, String user, String post) throws ApiException {
        return api.tweets().usersIdLike(user).usersLikesCreateRequest(new UsersLikesCreateRequest().tweetId(post)).execute();
    }

    /** Checks a refusal as the SDK shows it, and returns what the SDK's own types made of the body. */
    private static <P extends Problem> P refused(int status, Class<P> type, String body, ApiException e) {
        assertEquals(status, e.getCode(), e.getResponseBody());
        assertEquals(JsonParser.parseString(body), JsonParser.parseString(e.getResponseBody()));
        return assertInstanceOf(type, e.getErrorObject().getProblem());
    }

    private static String header(ApiException e, String name) {
        List<String> values = e.getResponseHeaders().get(name);
        return values == null ? null : values.get(0);
    }

    @Test
    void likeAndUnlikeTwice() throws Exception {
        TwitterApi api = world.with(alice.access_token);
        String post = post(0);
        int before = likeCount(post);

        for (int i = 0; i < 2; i++) {
            UsersLikesCreateResponse liked = like(api, alice.id, post);
            assertTrue(liked.getData().getLiked());
            assertNull(liked.getErrors());
            assertEquals(before + 1, likeCount(post));
        }
        for (int i = 0; i < 2; i++) {
            UsersLikesDeleteResponse unliked = api.tweets().usersIdUnlike(alice.id, post).execute();
            assertFalse(unliked.getData().getLiked());
            assertNull(unliked.getErrors());
            assertEquals(before, likeCount(post));
        }
        World.did("likes");
    }

    @Test
    void otherUsersID() throws Exception {
        String post = post(1);
        int before = likeCount(post);
        ApiException e = assertThrows(ApiException.class, () -> like(world.with(alice.access_token), bob.id, post));
        String message = "The `id` query parameter value [" + bob.id + "] must be the same as the authenticating user ["
            + alice.id + "]";
        InvalidRequestProblem problem = refused(400, InvalidRequestProblem.class, """
            {"errors": [{"parameters": {"id": ["%s"]}, "message": "%s"}], "title": "Invalid Request",
             "detail": "One or more parameters to your request was invalid.",
             "type": "https://api.twitter.com/2/problems/invalid-request"}""".formatted(bob.id, message), e);
        assertEquals(message, problem.getErrors().get(0).getMessage());
        assertEquals(Map.of("id", List.of(bob.id)), problem.getErrors().get(0).getParameters());
        assertEquals(before, likeCount(post));
    }

    @Test
    void missingPost() {
        ApiException e = assertThrows(ApiException.class,
            () -> like(world.with(alice.access_token), alice.id, MISSING_POST));
        InvalidRequestProblem problem = refused(400, InvalidRequestProblem.class, """
            {"errors": [{"message": "This tweet cannot be found."}], "title": "Invalid Request",
             "detail": "One or more parameters to your request was invalid.",
             "type": "https://api.twitter.com/2/problems/invalid-request"}""", e);
        assertEquals("This tweet cannot be found.", problem.getErrors().get(0).getMessage());
        assertEquals("50", header(e, "x-rate-limit-limit"));
    }

    @Test
    void missingPostLookedUp() throws Exception {
        Get2TweetsIdResponse found = world.with(alice.access_token).tweets().findTweetById(MISSING_POST).execute();
        assertNull(found.getData());
        Problem problem = assertInstanceOf(ResourceNotFoundProblem.class, found.getErrors().get(0));
        assertEquals("Could not find tweet with id: [1].", problem.getDetail());
    }

    @Test
    void tokenWithoutLikeWrite() throws Exception {
        String post = post(2);
        int before = likeCount(post);
        ApiException e = assertThrows(ApiException.class,
            () -> like(world.with(World.env("LIKED_NARROW_TOKEN")), alice.id, post));
        GenericProblem problem = refused(403, GenericProblem.class, """
            {"title": "Forbidden", "type": "about:blank", "status": 403, "detail": "Forbidden"}""", e);
        assertEquals("Forbidden", problem.getTitle());
        assertEquals("application/problem+json", header(e, "content-type"));
        assertNull(header(e, "x-rate-limit-limit"));
        assertEquals(before, likeCount(post));
    }

    @Test
    void appOnlyToken() {
        // In the place of a user's token, since the SDK sends TwitterCredentialsBearer nowhere but where the API takes it.
        ApiException e = assertThrows(ApiException.class,
            () -> like(world.with(world.apps.get(0).bearer_token), alice.id, post(2)));
        refused(403, UnsupportedAuthenticationProblem.class, """
            {"title": "Unsupported Authentication",
             "detail": "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.  \
            Supported authentication types are [OAuth 1.0a User Context, OAuth 2.0 User Context].",
             "type": "https://api.twitter.com/2/problems/unsupported-authentication", "status": 403}""", e);
    }

    @Test
    void expiredToken() {
        ApiException e = assertThrows(ApiException.class,
            () -> like(world.with(World.env("LIKED_EXPIRED_TOKEN")), alice.id, post(2)));
        GenericProblem problem = refused(401, GenericProblem.class, """
            {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}""", e);
        assertEquals(401, problem.getStatus());
    }

    @Test
    void fiftyFirstLikeIn15Minutes() throws Exception {
        TwitterApi api = world.with(dave.access_token);
        String post = post(3);
        int before = likeCount(post);
        for (int n = 1; n <= 50; n++) {
            assertTrue(like(api, dave.id, post).getData().getLiked(), "like " + n);
        }
        ApiException e = assertThrows(ApiException.class, () -> like(api, dave.id, post));
        refused(429, GenericProblem.class, """
            {"title": "Too Many Requests", "detail": "Too Many Requests", "type": "about:blank", "status": 429}""", e);
        assertEquals("50", header(e, "x-rate-limit-limit"));
        assertEquals("0", header(e, "x-rate-limit-remaining"));
        long wait = Long.parseLong(header(e, "x-rate-limit-reset")) - Instant.now().getEpochSecond();
        assertTrue(wait > 0 && wait <= 900, "the window opens again in " + wait + " s");
        assertEquals(before + 1, likeCount(post));

        // Unlikes have a window of their own, so the like can be taken back at once.
        assertFalse(api.tweets().usersIdUnlike(dave.id, post).execute().getData().getLiked());
        assertEquals(before, likeCount(post));
    }
}
