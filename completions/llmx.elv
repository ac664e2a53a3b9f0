# Completion of llmx for Elvish. llmx itself says what may stand there: `llmx completions elvish` prints this file.

use str

set edit:completion:arg-completer[llmx] = {|@words|
    var answer = []
    try {
        set answer = [((external llmx) __complete elvish -- $@words 2>/dev/null | from-lines)]
    } catch error { nop $error }
    if (> (count $answer) 0) {
        if (or (str:has-prefix $answer[0] files) (str:has-prefix $answer[0] folders)) {
            edit:complete-filename $@words
        } else {
            for line $answer[1..] {
                var text about = (str:split &max=2 "\t" $line)
                var after = ' '
                if (str:contains '/:@=,' $text[-1]) { set after = '' }
                var shown = $text
                if (not-eq $about '') { set shown = $text' ('$about')' }
                edit:complex-candidate $text &display=$shown &code-suffix=$after
            }
        }
    }
}
