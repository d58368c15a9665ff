-- One schema for PostgreSQL and for Citus. Ids are positive; times are Unix microseconds, the zero time included; positions
-- are liked.Seq. No triggers, no foreign keys: what belongs together is changed by one transaction, and `liked check` proves it.

-- The schema itself, and what all servers share. One row.
CREATE TABLE meta (
    version    int    NOT NULL, -- of this schema
    least      int    NOT NULL, -- programs that know a lower version cannot use it
    seal_key   text   COLLATE "C",
    known_seed bool   NOT NULL DEFAULT false,
    horizon    bigint NOT NULL DEFAULT 0, -- the like log may have lost entries below it
    imported   bigint NOT NULL DEFAULT 0, -- highest position of a like that came by import
    principals bigint NOT NULL DEFAULT 0, -- generations: see store.Changes
    webhooks   bigint NOT NULL DEFAULT 0
);
INSERT INTO meta (version, least) VALUES (1, 1);

-- Transactions that a server may have to ask about: see tx.go. Kept for a day.
CREATE TABLE outcomes (id bytea PRIMARY KEY, committed bool NOT NULL, at bigint NOT NULL);
CREATE INDEX outcomes_at ON outcomes (at);

CREATE TABLE leases (name text COLLATE "C" PRIMARY KEY, holder bytea NOT NULL, until timestamptz NOT NULL);
-- Numbers of servers, which are in the identifiers that they make.
CREATE TABLE servers (number int PRIMARY KEY, holder bytea, until timestamptz NOT NULL DEFAULT '-infinity');
INSERT INTO servers (number) SELECT generate_series(0, 1023);

-- By lane: a user's changes are in one of 20.
CREATE TABLE lanes (
    lane   int    PRIMARY KEY,
    last   bigint NOT NULL DEFAULT 0, -- highest position given, or raised to
    newest bigint NOT NULL DEFAULT 0, -- of an entry that is in the log
    likes  bigint NOT NULL DEFAULT 0  -- for Totals
) WITH (fillfactor = 10);
INSERT INTO lanes (lane) SELECT generate_series(0, 19);
CREATE TABLE tallies (lane int PRIMARY KEY, users bigint NOT NULL DEFAULT 0, posts bigint NOT NULL DEFAULT 0) WITH (fillfactor = 10);
INSERT INTO tallies (lane) SELECT generate_series(0, 19);
-- One row per batch and lane; pos is that of its last entry.
CREATE TABLE log (
    lane    int    NOT NULL,
    pos     bigint NOT NULL,
    first   bigint NOT NULL,
    n       int    NOT NULL,
    entries bytea  NOT NULL,
    PRIMARY KEY (lane, pos)
);
ALTER TABLE log ALTER entries SET STORAGE EXTERNAL;

-- By user.
CREATE TABLE likes (
    user_id bigint NOT NULL,
    post_id bigint NOT NULL,
    seq     bigint NOT NULL,
    logged  bool   NOT NULL, -- an import's are not
    PRIMARY KEY (user_id, post_id) INCLUDE (seq)
);
CREATE UNIQUE INDEX likes_list ON likes (user_id, seq) INCLUDE (post_id);
ALTER TABLE likes ALTER user_id SET (n_distinct = -0.01);
CREATE TABLE user_likes (user_id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0) WITH (fillfactor = 80); -- of every user
CREATE TABLE users (
    user_id     bigint PRIMARY KEY,
    version     bigint NOT NULL DEFAULT 0, -- of this row, which UpdateUser compares
    username    text   COLLATE "C" NOT NULL,
    name        text   COLLATE "C" NOT NULL,
    created_at  bigint NOT NULL,
    protected   bool   NOT NULL,
    state       smallint NOT NULL,
    description text   COLLATE "C" NOT NULL,
    location    text   COLLATE "C" NOT NULL,
    url         text   COLLATE "C" NOT NULL,
    image       text   COLLATE "C" NOT NULL,
    verified    bool   NOT NULL,
    pinned      bigint NOT NULL
);
CREATE TABLE user_counts (
    user_id   bigint PRIMARY KEY,
    followers bigint NOT NULL DEFAULT 0,
    following bigint NOT NULL DEFAULT 0,
    posts     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE TABLE follows     (follower bigint, followed bigint, PRIMARY KEY (follower, followed));
CREATE TABLE followed_by (followed bigint, follower bigint, PRIMARY KEY (followed, follower));
CREATE TABLE blocks      (blocker bigint, blocked bigint, PRIMARY KEY (blocker, blocked));
CREATE TABLE blocked_by  (blocked bigint, blocker bigint, PRIMARY KEY (blocked, blocker));
CREATE TABLE posts_of    (author_id bigint, post_id bigint, PRIMARY KEY (author_id, post_id)); -- living posts
CREATE TABLE passwords   (user_id bigint PRIMARY KEY, encoded text COLLATE "C" NOT NULL);
-- Only authors for whom "may like" is not simply yes.
CREATE TABLE special (
    user_id   bigint PRIMARY KEY,
    hidden    bool NOT NULL DEFAULT false,
    protected bool NOT NULL DEFAULT false,
    blocks    int  NOT NULL DEFAULT 0 -- users whom this one blocks
);
CREATE TABLE usernames (name text COLLATE "C" PRIMARY KEY, user_id bigint NOT NULL); -- in lower case

-- By post. What likes rewrite is narrow.
CREATE TABLE post_heads (
    post_id   bigint PRIMARY KEY,
    author_id bigint NOT NULL,
    repost_of bigint NOT NULL, -- 0: none
    deleted   bool   NOT NULL,
    likes     bigint NOT NULL DEFAULT 0,
    reposts   bigint NOT NULL DEFAULT 0,
    replies   bigint NOT NULL DEFAULT 0,
    quotes    bigint NOT NULL DEFAULT 0,
    last      bigint NOT NULL DEFAULT 0 -- highest position in the post's list that ever was
) WITH (fillfactor = 60);
CREATE TABLE post_texts (
    post_id          bigint PRIMARY KEY,
    text             text   COLLATE "C" NOT NULL,
    created_at       bigint NOT NULL,
    in_reply_to      bigint NOT NULL,
    quotes           bigint NOT NULL,
    conversation     bigint NOT NULL,
    in_reply_to_user bigint NOT NULL
);
CREATE TABLE likers (
    post_id bigint NOT NULL,
    seq     bigint NOT NULL,
    user_id bigint NOT NULL,
    PRIMARY KEY (post_id, seq) INCLUDE (user_id)
);

-- Rate limits. windows is limit.Windows: length, opened and count of each, as varints.
CREATE TABLE windows (
    operation text   COLLATE "C",
    app       bigint,
    user_id   bigint, -- 0: the app as a whole
    windows   bytea  NOT NULL,
    ends      bigint NOT NULL, -- Unix seconds
    PRIMARY KEY (operation, app, user_id)
) WITH (fillfactor = 70);
CREATE TABLE nonces (
    hash  bytea  PRIMARY KEY,
    app   bigint NOT NULL,
    until bigint NOT NULL, -- Unix seconds
    use   bigint NOT NULL  -- a random number of the call that used it first, which may ask again
);
CREATE INDEX nonces_until ON nonces (until);
CREATE TABLE nonce_counts (app bigint, minute bigint, n bigint NOT NULL, PRIMARY KEY (app, minute)) WITH (fillfactor = 50); -- by minute of until

-- Apps, grants and what they consist of.
CREATE TABLE apps (
    app           bigint PRIMARY KEY,
    version       bigint NOT NULL DEFAULT 0, -- of this row, which UpdateApp compares
    owner         bigint NOT NULL,
    name          text   COLLATE "C" NOT NULL,
    public        bool   NOT NULL,
    state         smallint NOT NULL,
    tier          smallint NOT NULL,
    access        smallint NOT NULL,
    redirect_uris text[] COLLATE "C" NOT NULL,
    created_at    bigint NOT NULL,
    client_id     text   COLLATE "C" NOT NULL,
    api_key       text   COLLATE "C" NOT NULL,
    secret_hash   bytea  NOT NULL,
    sealed_secret bytea  NOT NULL,
    bearer_hash   bytea  NOT NULL,
    sealed_bearer bytea  NOT NULL,
    era           bigint NOT NULL DEFAULT 0,     -- raised when all grants end at once: each grant has that in which it was made
    unswept       bool   NOT NULL DEFAULT false, -- grants of earlier eras may be left
    deleted       bool   NOT NULL DEFAULT false  -- nothing but its id is left, which is never given again
);
CREATE INDEX apps_owner ON apps (owner);
CREATE TABLE owners (user_id bigint PRIMARY KEY); -- the row is locked by what gives the user one app more
CREATE TABLE app_keys (kind smallint, key bytea, app bigint NOT NULL, PRIMARY KEY (kind, key)); -- 0 client id, 1 API key, 2 hash of the bearer
-- A token is valid while its grant is: not ended, and of the app's era. What is done to a grant's tokens locks the grant first.
CREATE TABLE grants (
    grant_id   bytea PRIMARY KEY,
    app        bigint NOT NULL,
    user_id    bigint NOT NULL,
    oauth1     bool   NOT NULL,
    access     smallint NOT NULL,
    scopes     bigint NOT NULL,
    created_at bigint NOT NULL,
    era        bigint NOT NULL,
    ended      bool   NOT NULL DEFAULT false -- a sweep removes its tokens, and then it
);
CREATE INDEX grants_of ON grants (user_id, app);
CREATE INDEX grants_app ON grants (app, era);
CREATE INDEX grants_ended ON grants (grant_id) WHERE ended;
CREATE TABLE consents ( -- the last grant to the app that a code of the user made
    user_id  bigint,
    app      bigint,
    grant_id bytea NOT NULL,
    earlier  bytea, -- the one before
    PRIMARY KEY (user_id, app)
);
CREATE TABLE codes (
    hash         bytea PRIMARY KEY,
    app          bigint NOT NULL,
    user_id      bigint NOT NULL,
    scopes       bigint NOT NULL,
    redirect_uri text   COLLATE "C" NOT NULL,
    challenge    text   COLLATE "C" NOT NULL,
    method       text   COLLATE "C" NOT NULL,
    expires      bigint NOT NULL,
    ended        bool   NOT NULL DEFAULT false,
    grant_id     bytea -- that the first redemption made; null: unspent
);
CREATE INDEX codes_of ON codes (user_id, app);
CREATE INDEX codes_app ON codes (app);
CREATE INDEX codes_expires ON codes (expires);
CREATE TABLE tokens (
    hash     bytea PRIMARY KEY,
    kind     smallint NOT NULL, -- 0 access token, 1 refresh token, 2 access token of OAuth 1.0a
    grant_id bytea  NOT NULL,
    expires  bigint NOT NULL, -- zero time: never
    spent    bigint NOT NULL, -- zero time: not
    sealed   bytea  NOT NULL,
    access   smallint NOT NULL
);
CREATE INDEX tokens_of ON tokens (grant_id, kind);
CREATE INDEX tokens_expires ON tokens (expires);
CREATE TABLE request_tokens (
    hash     bytea PRIMARY KEY,
    sealed   bytea  NOT NULL,
    app      bigint NOT NULL,
    access   smallint NOT NULL,
    callback text   COLLATE "C" NOT NULL,
    expires  bigint NOT NULL,
    user_id  bigint NOT NULL, -- 0: not approved
    verifier bytea  NOT NULL,
    ended    bool   NOT NULL DEFAULT false -- the approval is void
);
CREATE INDEX request_tokens_of ON request_tokens (user_id, app);
CREATE INDEX request_tokens_app ON request_tokens (app);
CREATE INDEX request_tokens_expires ON request_tokens (expires);
CREATE TABLE sessions (hash bytea PRIMARY KEY, user_id bigint NOT NULL, expires bigint NOT NULL);
CREATE INDEX sessions_expires ON sessions (expires);

-- Webhooks and subscriptions.
CREATE TABLE webhooks (
    webhook    bigint PRIMARY KEY,
    version    bigint NOT NULL DEFAULT 0,
    app        bigint NOT NULL,
    url        text   COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    valid      bool   NOT NULL,
    checked    bigint NOT NULL,
    why        text   COLLATE "C" NOT NULL,
    replay_id  bigint NOT NULL,
    replay_at  bigint NOT NULL,
    replay_dead bool  NOT NULL,
    replay_from bigint NOT NULL,
    replay_to  bigint NOT NULL
);
CREATE UNIQUE INDEX webhooks_url ON webhooks (app, url);
CREATE TABLE offsets (
    webhook   bigint PRIMARY KEY,
    positions bigint[] NOT NULL, -- by partition
    lost      bigint NOT NULL DEFAULT 0,
    dead      int    NOT NULL DEFAULT 0 -- letters
);
CREATE TABLE letters (
    webhook      bigint,
    seq          bigint,
    subscription bigint,
    liked        bool   NOT NULL,
    user_id      bigint NOT NULL,
    post_id      bigint NOT NULL,
    author_id    bigint NOT NULL,
    liked_at     bigint NOT NULL,
    at           bigint NOT NULL,
    attempts     int    NOT NULL,
    why          text   COLLATE "C" NOT NULL,
    PRIMARY KEY (webhook, seq, subscription)
);
CREATE TABLE subscriptions (
    app          bigint,
    subscription bigint,
    version      bigint NOT NULL DEFAULT 0,
    viewer       bigint NOT NULL,
    user_id      bigint NOT NULL,
    direction    smallint NOT NULL,
    webhook      bigint NOT NULL,
    tag          text   COLLATE "C" NOT NULL,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL,
    after        bigint NOT NULL,
    PRIMARY KEY (app, subscription)
);
CREATE UNIQUE INDEX subscriptions_same ON subscriptions (app, user_id, direction, webhook);
CREATE INDEX subscriptions_about ON subscriptions (user_id, app, subscription);
CREATE INDEX subscriptions_made ON subscriptions (app, viewer, subscription);
CREATE TABLE subscription_counts ( -- of an app with any
    app    bigint,
    viewer bigint, -- 0: whoever made them
    n      int NOT NULL,
    PRIMARY KEY (app, viewer)
) WITH (fillfactor = 70);
