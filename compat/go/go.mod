module liked/compat/go

go 1.26.0

require github.com/dghubble/oauth1 v0.7.3

require golang.org/x/oauth2 v0.37.0
