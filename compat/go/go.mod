module liked/compat/go

go 1.26.0

require github.com/dghubble/oauth1 v0.7.3

require golang.org/x/oauth2 v0.37.0

require (
	github.com/markbates/goth v1.82.0
	github.com/mrjones/oauth v0.0.0-20180629183705-f4e24b6d100c // indirect
)
