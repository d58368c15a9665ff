package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.twitter.clientlib.ApiException;
import com.twitter.clientlib.api.TwitterApi;
import com.twitter.clientlib.model.Get2TweetsIdLikingUsersResponse;
import com.twitter.clientlib.model.Get2UsersIdLikedTweetsResponse;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Long lists of likes through X's own Java SDK, page by page: 1,000 posts that a user likes, and 1,000 users who like a
 * post. Newest likes come first, and the driver liked in the order of its credentials.
 */
class ListsTest {
    private static final int PAGE_SIZE = 100;

    private final World world = World.read();
    private final TwitterApi api = world.with(world.user("bob").access_token);

    /** A page: its ids, and the token of the next one, which is null at the end. */
    private record Page(List<String> ids, int resultCount, String next) {}

    private interface Pages {
        Page at(String token) throws ApiException;
    }

    private static void walk(Pages pages, List<String> inOrder) throws ApiException {
        List<String> want = new ArrayList<>(inOrder);
        Collections.reverse(want);
        assertEquals(1000, want.size());
        List<String> got = new ArrayList<>();
        int count = 0;
        String token = null;
        do {
            Page page = pages.at(token);
            assertEquals(PAGE_SIZE, page.resultCount);
            got.addAll(page.ids);
            token = page.next;
            count++;
        } while (token != null && count < 100);
        assertEquals(want, got);
        assertEquals(want.size() / PAGE_SIZE, count);
    }

    @Test
    void likedPosts() throws Exception {
        String liker = world.users.get(world.users.size() - 1).id;
        walk(token -> {
            Get2UsersIdLikedTweetsResponse r = api.tweets().usersIdLikedTweets(liker).maxResults(PAGE_SIZE).paginationToken(token).execute();
            return new Page(r.getData().stream().map(p -> p.getId()).toList(), r.getMeta().getResultCount(), r.getMeta().getNextToken());
        }, world.posts.subList(8, world.posts.size() - 1).stream().map(p -> p.id).toList());
    }

    @Test
    void likingUsers() throws Exception {
        String popular = world.posts.get(world.posts.size() - 1).id;
        walk(token -> {
            Get2TweetsIdLikingUsersResponse r = api.users().tweetsIdLikingUsers(popular).maxResults(PAGE_SIZE).paginationToken(token).execute();
            return new Page(r.getData().stream().map(u -> u.getId()).toList(), r.getMeta().getResultCount(), r.getMeta().getNextToken());
        }, world.users.subList(7, world.users.size() - 1).stream().map(u -> u.id).toList());
        World.did("lists");
    }
}
