// The example of X's reference page for POST /2/users/:id/likes, word for word between the two rulers. What is around
// it is what the page leaves to its reader, plus the one thing that liked needs: base_url.
import { Client, auth } from "twitter-api-sdk";
import { userByID, world } from "./world.js";

const twitterClient = new Client(new auth.OAuth2Bearer(userByID("1324848235714736129").access_token), {
  base_url: world.url,
});

// --------------------------------------------------------------------------------------------------------------------
(async () => {
  try {
    const likeTweet = await twitterClient.tweets.usersIdLike(
      // The ID of the user that is requesting to like the tweet
      "1324848235714736129",

      {
        // The ID of the tweet that the user is requesting to like
        tweet_id: "1521887626935947265",
      }
    );
    console.dir(likeTweet, {
      depth: null,
    });
  } catch (error) {
    console.log(error);
  }
})();
// --------------------------------------------------------------------------------------------------------------------
