<?php
// Likes a post on X with curl, as PHP's clients do.
$call = curl_init('https://api.x.com/2/users/' . getenv('X_USER_ID') . '/likes');
curl_setopt_array($call, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_POSTFIELDS => json_encode(['tweet_id' => getenv('X_POST_ID')]),
    CURLOPT_HTTPHEADER => ['Authorization: Bearer ' . getenv('X_ACCESS_TOKEN'), 'Content-Type: application/json'],
]);
curl_exec($call);
if (curl_getinfo($call, CURLINFO_RESPONSE_CODE) !== 200) {
    exit(1);
}
