// Command run likes a post on X with net/http, and signs a like with github.com/dghubble/oauth1.
package main

import (
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/dghubble/oauth1"
)

func main() {
	like(http.DefaultClient, "Bearer "+os.Getenv("X_ACCESS_TOKEN"))
	config := oauth1.NewConfig(os.Getenv("X_API_KEY"), os.Getenv("X_API_SECRET"))
	like(config.Client(oauth1.NoContext, oauth1.NewToken(os.Getenv("X_OAUTH1_TOKEN"), os.Getenv("X_OAUTH1_TOKEN_SECRET"))), "")
}

func like(client *http.Client, authorization string) {
	body := strings.NewReader(`{"tweet_id":"` + os.Getenv("X_POST_ID") + `"}`)
	r, err := http.NewRequest("POST", "https://api.x.com/2/users/"+os.Getenv("X_USER_ID")+"/likes", body)
	if err != nil {
		log.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := client.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		log.Fatal(resp.Status)
	}
}
