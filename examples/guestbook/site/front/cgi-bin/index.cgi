#!/bin/sh
# The page: GET shows it, POST adds an entry.
if [ "$REQUEST_METHOD" = POST ]; then
  head -c "$CONTENT_LENGTH" > /tmp/entry.$$
  found=$(wget -q -O - --post-file /tmp/entry.$$ http://app:8080/cgi-bin/entries) || failed=1
  rm /tmp/entry.$$
else
  found=$(wget -q -O - http://app:8080/cgi-bin/entries) || failed=1
fi
if [ -n "$failed" ]; then
  echo "the app did not answer" >&2
  printf 'Status: 502 Bad Gateway\r\nContent-Type: text/plain\r\n\r\nThe app did not answer.\n'
  exit
fi
printf 'Content-Type: text/html\r\n\r\n'
echo "<title>Guestbook</title><h1>Guestbook</h1><pre>$found</pre><p>front $VERSION on $(hostname)</p>"
