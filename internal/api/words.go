package api

import (
	"slices"
	"strings"
)

// words splits a list of words at white space.
func words(list string) []string { return strings.Fields(list) }

// paramWords returns the words that list parameters take, by the name of the parameter or by what the tag of its field
// says, in the order in which error texts print them. What the profile does not have is not in it.
func (f facts) paramWords() map[string][]string {
	all := map[string][]string{
		"tweet.fields":                  postFields,
		"user.fields":                   userFields,
		"media.fields":                  mediaFields,
		"poll.fields":                   pollFields,
		"place.fields":                  placeFields,
		"post expansions":               postExpansions,
		"user expansions":               userExpansions,
		"like expansions":               likeExpansions,
		"like_with_tweet_author.fields": likeFields,
		"webhook_config.fields":         webhookFields,
	}
	if f.newerWords {
		newer := slices.Clone(postFields2026)
		for word, older := range olderFields {
			newer[slices.Index(newer, older)] = word
		}
		all["tweet.fields"] = postFields2026
		all["post.fields"] = append(newer, "article_title")
		all["user.fields"] = append(slices.Clone(userFields), "subscribes_to_you", "confirmed_email")
		all["post expansions"] = append(slices.Clone(postExpansions), "referenced_tweets", "referenced_tweets.id.attachments.media_keys",
			"username", "edit_history_post_ids", "referenced_posts")
		all["user expansions"] = append(slices.Clone(userExpansions), "affiliation", "most_recent_post_id", "pinned_post_id")
	}
	return all
}

var (
	postFields = words(`
		article attachments author_id card_uri community_id context_annotations conversation_id created_at display_text_range
		edit_controls edit_history_tweet_ids entities geo id in_reply_to_user_id lang media_metadata non_public_metrics
		note_tweet organic_metrics possibly_sensitive promoted_metrics public_metrics referenced_tweets reply_settings scopes
		source text withheld`)
	postFields2026 = words(`
		id text edit_history_tweet_ids withheld rest_id created_at author_id conversation_id in_reply_to_user_id
		referenced_tweets attachments lang possibly_sensitive paid_partnership reply_settings source display_text_range
		card_uri community_id note_tweet scopes username suggested_source_links suggested_source_links_with_counts
		matched_media_notes note_request_suggestions public_metrics context_annotations entities geo edit_controls
		media_metadata non_public_metrics organic_metrics promoted_metrics article`)
	userFields = words(`
		affiliation connection_status created_at description entities id is_identity_verified location most_recent_tweet_id
		name parody pinned_tweet_id profile_banner_url profile_image_url protected public_metrics receives_your_dm
		subscription subscription_type url username verified verified_followers_count verified_type withheld`)
	postExpansions = words(`
		article.cover_media article.media_entities attachments.media_keys attachments.media_source_tweet attachments.poll_ids
		author_id edit_history_tweet_ids entities.mentions.username geo.place_id in_reply_to_user_id
		entities.note.mentions.username referenced_tweets.id referenced_tweets.id.author_id`)
	userExpansions = words(`
		affiliation.user_id most_recent_tweet_id pinned_tweet_id`)
	mediaFields = words(`
		alt_text duration_ms height media_key non_public_metrics organic_metrics preview_image_url promoted_metrics
		public_metrics type url variants width`)
	pollFields = words(`
		duration_minutes end_datetime id options voting_status`)
	placeFields = words(`
		contained_within country country_code full_name geo id name place_type`)
	likeFields = words(`
		attachments_media_keys created_at id liked_tweet_author_id liked_tweet_id timestamp_ms`)
	likeExpansions = words(`attachments.media_keys liked_tweet_author_id liked_tweet_id`)
	webhookFields  = words(`created_at id url valid`)
)
