package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.scribejava.core.model.OAuth2AccessToken;
import com.github.scribejava.core.model.OAuth2AccessTokenErrorResponse;
import com.github.scribejava.core.oauth2.OAuth2Error;
import com.github.scribejava.core.pkce.PKCE;
import com.github.scribejava.core.pkce.PKCEService;
import com.twitter.clientlib.ApiException;
import com.twitter.clientlib.TwitterCredentialsOAuth2;
import com.twitter.clientlib.api.TwitterApi;
import com.twitter.clientlib.auth.TwitterOAuth20Service;
import com.twitter.clientlib.model.UsersLikesCreateRequest;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** From signing in, with the SDK's own OAuth service, to likes. The server consents to everything for alice. */
class SignInTest {
    private static final String STATE = "a state, with + / = & %";

    private final World world = World.read();
    private final World.App app = world.apps.get(0);
    private final World.User alice = world.user("alice");
    private final String post = world.posts.get(4).id;
    private final HttpClient browser = HttpClient.newHttpClient(); // which follows no redirect
    private final PKCE pkce = PKCEService.defaultInstance().generatePKCE();

    private TwitterOAuth20Service service(String secret) {
        return new TwitterOAuth20Service(app.client_id, secret, app.redirect_uris.get(0),
            "tweet.read users.read like.write offline.access");
    }

    /** Goes to the authorize page, as alice does, and returns the code that she brings back. */
    private String code(TwitterOAuth20Service service) throws Exception {
        var page = browser.send(HttpRequest.newBuilder(URI.create(service.getAuthorizationUrl(pkce, STATE))).build(),
            BodyHandlers.ofString());
        assertEquals(302, page.statusCode(), page.body());
        URI to = URI.create(page.headers().firstValue("location").orElseThrow());
        assertTrue(to.toString().startsWith(app.redirect_uris.get(0) + "?"), to.toString());
        Map<String, String> query = Arrays.stream(to.getRawQuery().split("&")).map(p -> p.split("=", 2))
            .collect(Collectors.toMap(p -> p[0], p -> URLDecoder.decode(p[1], StandardCharsets.UTF_8)));
        assertEquals(STATE, query.get("state"));
        return query.get("code");
    }

    private TwitterApi api(OAuth2AccessToken token, boolean renew) {
        return world.with(new TwitterCredentialsOAuth2(app.client_id, app.client_secret, token.getAccessToken(),
            token.getRefreshToken(), renew));
    }

    /** Likes the post and takes it back. */
    private void likes(TwitterApi api) throws ApiException {
        assertTrue(api.tweets().usersIdLike(alice.id).usersLikesCreateRequest(new UsersLikesCreateRequest().tweetId(post))
            .execute().getData().getLiked());
        assertFalse(api.tweets().usersIdUnlike(alice.id, post).execute().getData().getLiked());
    }

    private void unauthorized(TwitterApi api) {
        assertEquals(401, assertThrows(ApiException.class, () -> likes(api)).getCode());
    }

    private static void refused(OAuth2Error error, String description, Executable call) {
        Throwable thrown = assertThrows(Exception.class, call);
        if (thrown instanceof ApiException) {
            thrown = thrown.getCause();
        }
        OAuth2AccessTokenErrorResponse e = (OAuth2AccessTokenErrorResponse) thrown;
        assertEquals(error, e.getError());
        assertEquals(description, e.getErrorDescription());
    }

    @Test
    void signInLikeRefreshLikeRevoke() throws Exception {
        TwitterOAuth20Service service = service(app.client_secret);
        OAuth2AccessToken token = service.getAccessToken(pkce, code(service));
        assertEquals("bearer", token.getTokenType());
        assertEquals(7200, token.getExpiresIn());
        assertEquals("tweet.read users.read offline.access like.write", token.getScope());
        TwitterApi api = api(token, false);
        assertEquals(alice.id, api.users().findMyUser().execute().getData().getId());
        likes(api);

        OAuth2AccessToken renewed = api.refreshToken();
        assertNotEquals(token.getAccessToken(), renewed.getAccessToken());
        assertNotEquals(token.getRefreshToken(), renewed.getRefreshToken());
        assertEquals(token.getScope(), renewed.getScope());
        likes(api); // with the new one

        service.revokeToken(renewed.getAccessToken());
        unauthorized(api);
        refused(OAuth2Error.INVALID_REQUEST, "Value passed for the token was invalid.", api::refreshToken);
        World.did("OAuth 2.0");
    }

    @Test
    void expiredTokenIsRenewedOnTheWay() throws Exception {
        TwitterOAuth20Service service = service(app.client_secret);
        OAuth2AccessToken token = service.getAccessToken(pkce, code(service));
        List<OAuth2AccessToken> renewed = new ArrayList<>();
        TwitterApi api = api(new OAuth2AccessToken(World.env("LIKED_EXPIRED_TOKEN"), null, 0, token.getRefreshToken(), null, null),
            true);
        api.addCallback(renewed::add);
        likes(api);
        assertEquals(1, renewed.size());
        assertNotEquals(token.getRefreshToken(), renewed.get(0).getRefreshToken());
    }

    @Test
    void refreshTokenTwice() throws Exception {
        TwitterOAuth20Service service = service(app.client_secret);
        OAuth2AccessToken token = service.getAccessToken(pkce, code(service));
        service.refreshAccessToken(token.getRefreshToken());
        refused(OAuth2Error.INVALID_REQUEST, "Value passed for the token was invalid.",
            () -> service.refreshAccessToken(token.getRefreshToken()));
    }

    @Test
    void codeTwice() throws Exception {
        TwitterOAuth20Service service = service(app.client_secret);
        String code = code(service);
        OAuth2AccessToken token = service.getAccessToken(pkce, code);
        refused(OAuth2Error.INVALID_REQUEST, "Value passed for the authorization code was invalid.",
            () -> service.getAccessToken(pkce, code));
        unauthorized(api(token, false)); // RFC 6749, 4.1.2: whoever had it first may have stolen it
    }

    @Test
    void wrongVerifier() throws Exception {
        TwitterOAuth20Service service = service(app.client_secret);
        String code = code(service);
        refused(OAuth2Error.INVALID_REQUEST, "Value passed for the code verifier did not match the code challenge.",
            () -> service.getAccessToken(PKCEService.defaultInstance().generatePKCE(), code));
    }

    @Test
    void wrongSecret() throws Exception {
        TwitterOAuth20Service service = service("wrong");
        String code = code(service);
        refused(OAuth2Error.UNAUTHORIZED_CLIENT, "Missing valid authorization header", () -> service.getAccessToken(pkce, code));
    }
}
