"""The ticket on a web page that runs it in the browser, with LiteRT.js."""
