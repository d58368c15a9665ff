-- On Citus, what grows with users, posts and likes is spread over the nodes by the id of a user or a post. All of it is
-- co-located: a shard has all tables of its ids, so what is about a user is together, and what is about a post.
--
-- What is few, or found by a name or a hash, stays on the coordinator, through which every statement goes in any case: the
-- lanes and the log, so that readers of it ask one node; names, apps, grants, tokens, limits and webhooks. A row there is
-- locked like any other, and written without asking the other nodes.
SELECT create_distributed_table('users', 'user_id', colocate_with => 'none');
SELECT create_distributed_table(name, by_column, colocate_with => 'users') FROM (VALUES
	('user_counts', 'user_id'), ('user_likes', 'user_id'), ('passwords', 'user_id'), ('likes', 'user_id'),
	('follows', 'follower'), ('followed_by', 'followed'), ('blocks', 'blocker'), ('blocked_by', 'blocked'),
	('posts_of', 'author_id'), ('post_heads', 'post_id'), ('post_texts', 'post_id'), ('likers', 'post_id')) t(name, by_column);
