# Likes a post on X with Ruby's own client.
require "json"
require "net/http"

uri = URI("https://api.x.com/2/users/#{ENV.fetch('X_USER_ID')}/likes")
headers = { "Authorization" => "Bearer #{ENV.fetch('X_ACCESS_TOKEN')}", "Content-Type" => "application/json" }
response = Net::HTTP.post(uri, { tweet_id: ENV.fetch("X_POST_ID") }.to_json, headers)
abort "status #{response.code}" unless response.code == "200"
