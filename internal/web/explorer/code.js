// A call as code to copy, in five languages, with the SDKs that people use for X's API.
//
// A call is {id, method, path, base, inPath, query, body}: the operationId, the method, the path with its {names}, the
// address of the server, what stands for the names in their order ([[name, value], ...]), the query ({name: text, number or
// list of texts}), and the body as it was typed, "" for none. The token never is in the code, only the name of the
// environment variable that holds it.

export const tokenVariable = "X_ACCESS_TOKEN";

export const languages = [
  { id: "curl", name: "curl", write: curl },
  { id: "typescript", name: "TypeScript", write: typescript },
  { id: "java", name: "Java", write: java },
  { id: "python", name: "Python", write: python },
  { id: "go", name: "Go", write: go },
];

// urlOf is the address of the call, as clients write it: lists have commas between their words.
export function urlOf(call) {
  const path = call.inPath.reduce((path, [name, value]) => path.replace(`{${name}}`, encodeURIComponent(value)), call.path);
  const query = Object.entries(call.query).map(([name, value]) =>
    `${encodeURIComponent(name)}=${[value].flat().map(encodeURIComponent).join(",")}`);
  return call.base + path + (query.length ? "?" + query.join("&") : "");
}

// What the SDKs call an operation. Those that they lack, and what later versions of X's API added, are plain requests.
const inTweepy = {
  usersIdLike: ["like", true], usersIdUnlike: ["unlike", true], usersIdLikedTweets: ["get_liked_tweets"],
  tweetsIdLikingUsers: ["get_liking_users"], findMyUser: ["get_me", true], findUserById: ["get_user"],
  findUsersById: ["get_users"], findUserByUsername: ["get_user"], findUsersByUsername: ["get_users"],
  findTweetById: ["get_tweet"], findTweetsById: ["get_tweets"], createTweet: ["create_tweet", true],
  deleteTweetById: ["delete_tweet", true],
};

// isName is whether a parameter can be an argument of an SDK: not post.fields, nor what would be code by itself in the name's place.
const isName = (name) => /^[a-z][a-z_]*(\.[a-z_]+)?$/.test(name) && !name.startsWith("post.");

function inSDKs(call) {
  return call.id in inTweepy && Object.keys(call.query).every(isName) && (!call.body || parsed(call.body));
}

function parsed(body) {
  try {
    const value = JSON.parse(body);
    return value && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

// compact is the body on one line, if it is JSON.
function compact(body) {
  const value = parsed(body);
  return value ? JSON.stringify(value) : body;
}

const text = JSON.stringify;
// shell quotes a text for a shell. A terminal obeys control characters that are pasted into it, so that these are escaped.
export const shell = (s) => (/[^\P{Cc}\t\n]/u.test(s) ? `$'${escaped(s)}'` : `'${s.replaceAll("'", `'\\''`)}'`);
const escaped = (s) => s.replace(/[\\']/g, "\\$&").replace(/\p{Cc}/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
const camel = (name) => name.replace(/[._](.)/g, (_, letter) => letter.toUpperCase());
const group = (call) => (/User/.test(call.id) ? "users" : "tweets");

function curl(call) {
  const lines = [`curl -X ${call.method} ${shell(urlOf(call))}`, `-H "Authorization: Bearer $${tokenVariable}"`];
  if (call.body) lines.push("-H 'Content-Type: application/json'", `-d ${shell(compact(call.body))}`);
  return lines.join(" \\\n  ") + "\n";
}

// script writes a value as JavaScript does.
function script(value) {
  if (Array.isArray(value)) return `[${value.map(script).join(", ")}]`;
  if (value === null || typeof value !== "object") return text(value);
  const members = Object.entries(value).map(([k, v]) => `${/^\w+$/.test(k) ? k : text(k)}: ${script(v)}`);
  return members.length ? `{ ${members.join(", ")} }` : "{}";
}

function typescript(call) {
  if (!inSDKs(call)) {
    const body = call.body ? `,\n    "Content-Type": "application/json",\n  },\n  body: ${text(compact(call.body))},\n` : ",\n  },\n";
    return `const answer = await fetch(${text(urlOf(call))}, {
  method: ${text(call.method)},
  headers: {
    Authorization: \`Bearer \${process.env.${tokenVariable}}\`${body}});
console.log(answer.status, await answer.text());
`;
  }
  const args = call.inPath.map(([, value]) => value);
  if (call.body) args.push(parsed(call.body));
  if (Object.keys(call.query).length) args.push(call.query);
  return `// npm install twitter-api-sdk
import { Client, auth } from "twitter-api-sdk";

const token = process.env.${tokenVariable} ?? "";
const client = new Client(new auth.OAuth2Bearer(token), {
  base_url: ${text(call.base)},
});

const answer = await client.${group(call)}.${call.id}(${args.map(script).join(", ")});
console.dir(answer, { depth: null });
`;
}

// The bodies that the Java SDK has setters for, and that are all that most people send.
const inJava = {
  usersIdLike: ["UsersLikesCreateRequest", "tweet_id"],
  createTweet: ["TweetCreateRequest", "text"],
};

function java(call) {
  const [type, member] = inJava[call.id] ?? [];
  const body = call.body ? parsed(call.body) : undefined;
  const simple = !call.body || (body && Object.keys(body).join() === member && typeof body[member] === "string");
  if (!inSDKs(call) || !simple) {
    const publisher = call.body ? `HttpRequest.BodyPublishers.ofString(${text(compact(call.body))})` : "HttpRequest.BodyPublishers.noBody()";
    return `import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Example {
    public static void main(String[] args) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(${text(urlOf(call))}))
            .header("Authorization", "Bearer " + System.getenv("${tokenVariable}"))${call.body ? '\n            .header("Content-Type", "application/json")' : ""}
            .method(${text(call.method)}, ${publisher})
            .build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }
}
`;
  }
  const of = (values) => values.map(text).join(", ");
  const args = call.inPath.map(([, value]) => text(value));
  const setters = [];
  for (const [name, value] of Object.entries(call.query)) {
    if (name === "ids" || name === "usernames") args.push(`List.of(${of([value].flat())})`);
    else setters.push(`.${camel(name)}(${Array.isArray(value) ? `Set.of(${of(value)})` : text(value)})`);
  }
  if (body) {
    const made = `new ${type}().${camel(member)}(${text(body[member])})`;
    if (args.length) setters.push(`.${camel(type[0].toLowerCase() + type.slice(1))}(${made})`);
    else args.push(made);
  }
  const imports = ["com.twitter.clientlib.TwitterCredentialsOAuth2", "com.twitter.clientlib.api.TwitterApi"];
  if (body) imports.push(`com.twitter.clientlib.model.${type}`);
  if (args.some((a) => a.startsWith("List."))) imports.push("java.util.List");
  if (setters.some((s) => s.includes("Set.of"))) imports.push("java.util.Set");
  return `// com.twitter:twitter-api-java-sdk:2.0.3, which says so and goes on if there is no file sdk.properties
${imports.map((name) => `import ${name};`).join("\n")}

public class Example {
    public static void main(String[] args) throws Exception {
        // The SDK sends no token without a client id. Id and secret are needed to refresh the token only.
        TwitterApi api = new TwitterApi(new TwitterCredentialsOAuth2("client id", "client secret", System.getenv("${tokenVariable}"), ""));
        api.getApiClient().setBasePath(${text(call.base)});

        System.out.println(api.${group(call)}().${call.id}(${args.join(", ")})
            ${[...setters, ".execute()"].join("\n            ")});
    }
}
`;
}

// literal writes a value as Python does.
function literal(value) {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "object") return `{${Object.entries(value).map(([k, v]) => `${text(k)}: ${literal(v)}`).join(", ")}}`;
  return text(value);
}

function python(call) {
  const body = call.body ? parsed(call.body) : {};
  const known = body && Object.keys(body).every((name) => name === "tweet_id" || name === "text");
  if (!inSDKs(call) || !known) {
    const data = call.body ? `\n    data=${text(compact(call.body))}.encode(),` : "";
    const type = call.body ? `, "Content-Type": "application/json"` : "";
    return `# pip install requests
import os
import requests

answer = requests.request(
    ${text(call.method)},
    ${text(urlOf(call))},
    headers={"Authorization": f"Bearer {os.environ['${tokenVariable}']}"${type}},${data}
)
print(answer.status_code, answer.text)
`;
  }
  const [method, asUser] = inTweepy[call.id];
  const args = [];
  for (const [name, value] of call.inPath) {
    if (method === "get_user") args.push(`${name}=${text(value)}`);
    else if (!(name === "id" && /^(un)?like$/.test(method))) args.push(text(value)); // tweepy asks who the user is
  }
  for (const [name, value] of [...Object.entries(body), ...Object.entries(call.query)]) {
    args.push(`${name.replaceAll(".", "_")}=${literal(value)}`);
  }
  if (asUser) args.push("user_auth=False");
  return `# pip install tweepy
import os
import requests
import tweepy


class Here(requests.adapters.HTTPAdapter):
    """tweepy has X's host written into it: this leads its requests to another."""

    def send(self, request, **kwargs):
        request.url = request.url.replace("https://api.twitter.com", ${text(call.base)}, 1)
        return super().send(request, **kwargs)


client = tweepy.Client(os.environ["${tokenVariable}"])
client.session.mount("https://api.twitter.com", Here())
print(client.${method}(${args.join(", ")}))
`;
}

function go(call) {
  const body = call.body ? `strings.NewReader(${goString(compact(call.body))})` : "nil";
  const imports = ["context", "fmt", "io", "log", "net/http", "os", ...(call.body ? ["strings"] : [])];
  return `package main

import (
${imports.map((name) => `\t"${name}"`).join("\n")}

	"golang.org/x/oauth2"
)

func main() {
	token := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: os.Getenv("${tokenVariable}")})
	client := oauth2.NewClient(context.Background(), token)

	req, err := http.NewRequest(${text(call.method)}, ${text(urlOf(call))}, ${body})
	if err != nil {
		log.Fatal(err)
	}
${call.body ? '\treq.Header.Set("Content-Type", "application/json")\n' : ""}	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status, string(answer))
}
`;
}

const goString = (s) => (s.includes("`") || /[^\x20-\x7e\u00a0-\uffff\n]/.test(s) ? text(s) : "`" + s + "`");
