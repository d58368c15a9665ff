package api

// Queries of endpoints: what handlers read; tags say what is checked and described (see queryParams).

const defaultResults = 100

// postView selects fields of posts, userView of users. Media, polls and places are accepted, but there are none.
type (
	postView struct {
		Expansions  []string `query:"expansions" words:"post.expansions"`
		TweetFields []string `query:"tweet.fields"`
		PostFields  []string `query:"post.fields"`
		MediaFields []string `query:"media.fields"`
		PollFields  []string `query:"poll.fields"`
		PlaceFields []string `query:"place.fields"`
		UserFields  []string `query:"user.fields"`
	}
	userView struct {
		Expansions  []string `query:"expansions" words:"user.expansions"`
		TweetFields []string `query:"tweet.fields"`
		PostFields  []string `query:"post.fields"`
		UserFields  []string `query:"user.fields"`
	}
)

func (v *postView) wanted() wanted {
	return newWanted(v.Expansions, v.TweetFields, v.PostFields, v.UserFields)
}
func (v *userView) wanted() wanted {
	return newWanted(v.Expansions, v.TweetFields, v.PostFields, v.UserFields)
}

type postsQuery struct {
	IDs []string `query:"ids,required" is:"postID"`
	postView
}

type usersQuery struct {
	IDs []string `query:"ids,required" is:"userID"`
	userView
}

type usernamesQuery struct {
	Usernames []string `query:"usernames,required" is:"username"`
	userView
}

type likedPostsQuery struct {
	MaxResults int    `query:"max_results" range:"5 100" preset:"100"` // defaultResults
	Token      string `query:"pagination_token"`
	postView
}

type likingUsersQuery struct {
	MaxResults int    `query:"max_results" range:"1 100" preset:"100"` // defaultResults
	Token      string `query:"pagination_token"`
	userView
}

type subscriptionsQuery struct {
	MaxResults int    `query:"max_results" range:"1 1000"`
	Token      string `query:"pagination_token"`
}

type webhooksQuery struct {
	Fields []string `query:"webhook_config.fields"`
}

type firehoseQuery struct {
	Partition int `query:"partition,required" range:"1 20"` // liked.Partitions
	likeQuery
	spanQuery
}

type sampleQuery struct {
	Partition int `query:"partition,required" range:"1 2"` // samplePartitions
	likeQuery
	spanQuery
}

type likeQuery struct {
	LikeFields  []string `query:"like_with_tweet_author.fields"`
	Expansions  []string `query:"expansions" words:"like.expansions"`
	TweetFields []string `query:"tweet.fields"`
	UserFields  []string `query:"user.fields"`
	MediaFields []string `query:"media.fields"`
}

type spanQuery struct {
	Backfill int     `query:"backfill_minutes" range:"0 5"`
	Start    instant `query:"start_time"`
	End      instant `query:"end_time"`
}

// v1.1 handlers read forms; these are for the description alone.
type v1PostQuery struct {
	ID string `query:"id,required" is:"postID"`
}

type v1LimitsQuery struct {
	Resources string `query:"resources"`
}

type v1ListQuery struct {
	UserID string `query:"user_id" is:"userID"`
	Count  int    `query:"count" range:"1 200" preset:"20"` // v1Page, v1Defaults
}
