package main

import "testing"

// Names are those of programs that are about.
func TestKindIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		want  secretKind
		value string
		more  string // another variable
	}{
		{"X_CLIENT_ID", clientID, "a", ""}, {"TWITTER_CLIENT_SECRET", clientSecret, "a", ""}, {"AUTH_TWITTER_ID", clientID, "a", ""},
		{"AUTH_TWITTER_SECRET", clientSecret, "a", ""}, {"CLIENT_ID", clientID, "a", ""}, {"X_API_KEY", apiKey, "a", ""},
		{"TWITTER_API_KEY_SECRET", apiSecret, "a", ""}, {"TWITTER_CONSUMER_KEY", apiKey, "a", ""}, {"APP_KEY", apiKey, "a", ""},
		{"consumer_secret", apiSecret, "a", ""}, {"TWITTER_API_SECRET_KEY", apiSecret, "a", ""}, {"X_APP_CLIENT_ID", clientID, "a", ""},
		{"TWITTER_BEARER_TOKEN", bearerToken, "AAAAAAAAAAAAAAAAAAAAAx", ""}, {"BEARER_TOKEN", bearerToken, "a", ""},
		{"TWITTER_ACCESS_TOKEN", oauth1Token, "12-abc", ""}, {"TWITTER_ACCESS_TOKEN", accessToken, "abc", ""},
		{"ACCESS_TOKEN", oauth1Token, "abc", "ACCESS_TOKEN_SECRET"}, {"ACCESS_TOKEN", oauth1Token, "abc", "ACCESS_SECRET"},
		{"ACCESS_KEY", oauth1Token, "abc", "ACCESS_SECRET"}, {"X_OAUTH1_TOKEN", oauth1Token, "abc", ""},
		{"X_OAUTH2_ACCESS_TOKEN", accessToken, "12-abc", ""}, {"X_OAUTH1_TOKEN_SECRET", tokenSecret, "a", ""},
		{"TWITTER_ACCESS_SECRET", tokenSecret, "a", ""}, {"X_REFRESH_TOKEN", refreshToken, "a", ""},
		{"TWITTER_CALLBACK_URL", callback, "a", ""},
		{"OPENAI_API_KEY", "", "a", ""}, {"SECRET", "", "a", ""}, {"ID", "", "a", ""}, {"X_API_URL", "", "a", ""}, {"PORT", "", "a", ""},
		{"GOOGLE_CLIENT_ID", "", "a", ""}, {"X_USER_ID", "", "a", ""}, {"", "", "", ""},
	} {
		if got, _ := kindIn(tt.name, map[string]string{tt.name: tt.value, tt.more: "a"}); got != tt.want {
			t.Errorf("%s=%s beside %s is %q, want %q", tt.name, tt.value, tt.more, got, tt.want)
		}
	}
}
