-- On Citus, what grows with users, posts and likes is spread over the nodes by the id of a user or a post. All of it is
-- co-located: a shard has all tables of its ids, so what is about a user is together, and what is about a post.
--
-- What is few, or found by a name or a hash, stays on the coordinator, through which every statement goes in any case: the
-- lanes and the log, so that readers of it ask one node; names, apps, grants, tokens, limits and webhooks. A row there is
-- locked like any other, and written without asking the other nodes.
-- Likes are by user and not by lane, of which there are 20: so there may be more nodes than lanes, a list of what a user likes is
-- on one shard, and no column is only for that. With 8 shards on two nodes batches of either were as fast (1.04, 1.16 and 1.01
-- in three rounds taken in turns); with 32 shards by user was slower (0.95, 0.68 and 0.76), since a batch of a hundred likes
-- then has statements for each shard, and by lane for few: docs/scale.md says how many to take.
SELECT create_distributed_table('users', 'user_id', colocate_with => 'none');
SELECT create_distributed_table(name, by_column, colocate_with => 'users') FROM (VALUES
	('user_counts', 'user_id'), ('user_likes', 'user_id'), ('passwords', 'user_id'), ('likes', 'user_id'),
	('follows', 'follower'), ('followed_by', 'followed'), ('blocks', 'blocker'), ('blocked_by', 'blocked'),
	('posts_of', 'author_id'), ('post_heads', 'post_id'), ('post_texts', 'post_id'), ('likers', 'post_id')) t(name, by_column);
-- Each transaction that writes has a row in outcomes, which Citus is told of: or it would commit what is written to one other node
-- before, and without, what is written here.
SELECT citus_add_local_table_to_metadata('outcomes');
