#!/usr/bin/perl
# A form that answers itself, with nothing but the language.
use strict;
use warnings;

sub decoded {
    my ($text) = @_;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $text;
}

sub escaped {
    my ($text) = @_;
    my %names = ('&' => 'amp', '<' => 'lt', '>' => 'gt', '"' => 'quot');
    $text =~ s/([&<>"])/&$names{$1};/g;
    return $text;
}

my $body = '';
read STDIN, $body, $ENV{CONTENT_LENGTH} if $ENV{CONTENT_LENGTH};
my %field = map { decoded($_) } map { (split /=/, $_, 2)[0, 1] } grep { /=/ } split /&/, $body;
my $name = escaped($field{name} // '');

print "Content-Type: text/html; charset=utf-8\n";
print "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; ";
print "form-action 'self'\n\n";
print <<'END';
<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Form</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
input, button { font: inherit; padding: .2rem .6rem }
</style>
<h1>A form</h1>
END
print "<p>Hello, $name!</p>\n" if $name ne '';
print qq(<form method="post"><label>Name <input name="name" value="$name"></label>);
print qq( <button>Say hello</button></form>\n);
